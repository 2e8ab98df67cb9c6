// Weirgate itself: engine and control.

import path from 'node:path';

import { end, startPinned, waitFor } from '../processes.mjs';

/** Starts both; `variant`, if any, is the engine's I/O back end. */
export async function start({ core, ip, folder, binaries, variant }) {
    const url = 'http://127.0.0.1:8080';
    const socket = path.join(folder, 'run', 'engine.sock');
    const shared = [
        '--media-listen', `${ip}:10000`, '--cores', String(core), '--io', variant ?? 'auto',
    ];
    const engineLog = path.join(folder, 'engine.log');
    const engine = startPinned(
        core, path.join(binaries, 'weirgate-engine'), ['--socket', socket, ...shared],
        engineLog,
    );
    const controlLog = path.join(folder, 'control.log');
    const control = startPinned(
        core, path.join(binaries, 'weirgate-control'),
        ['--engine-socket', socket, '--engine-bin', '/bin/false', '--http-listen', '127.0.0.1:8080',
            ...shared],
        controlLog,
    );
    const close = async () => {
        await end(control);
        await end(engine);
    };
    try {
        await waitFor(control, controlLog, 'Weirgate', async () => (await fetch(`${url}/readyz`)).ok);
    } catch (error) {
        await close();
        throw error;
    }
    return { url, pids: [engine.pid, control.pid], close };
}

export function version({ commit }) {
    return commit;
}
