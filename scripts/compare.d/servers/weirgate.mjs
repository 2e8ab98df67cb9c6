// Weirgate itself: engine and control.

import { existsSync } from 'node:fs';
import path from 'node:path';

import { end, startPinned, waitFor } from '../processes.mjs';

/** Starts both; `variant`, if any, is the engine's I/O back end. */
export async function start({ core, ip, folder, binaries, variant }) {
    return startOn({ cores: String(core), media: `${ip}:10000`, folder, binaries, io: variant });
}

/**
 * Starts both on the cores of a list such as `0,1`. `media` is where the media port is, `io` the I/O
 * back end (`auto`), `http` the address of the API, `token` what it asks for where that is not
 * loopback's.
 */
export async function startOn({ cores, media, folder, binaries, io = 'auto', http = '127.0.0.1', token }) {
    const url = `http://${http}:8080`;
    const socket = path.join(folder, 'run', 'engine.sock');
    const shared = ['--media-listen', media, '--cores', cores, '--io', io];
    const engineLog = path.join(folder, 'engine.log');
    const engine = startPinned(
        cores, path.join(binaries, 'weirgate-engine'), ['--socket', socket, ...shared],
        engineLog,
    );
    try {
        // Control would start one of its own where it finds none.
        await waitFor(engine, engineLog, 'the engine', async () => existsSync(socket));
    } catch (error) {
        await end(engine);
        throw error;
    }
    const controlLog = path.join(folder, 'control.log');
    const control = startPinned(
        cores, path.join(binaries, 'weirgate-control'),
        ['--engine-socket', socket, '--engine-bin', '/bin/false', '--http-listen', `${http}:8080`,
            ...(token ? ['--api-token', token] : []), ...shared],
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
    return { url, pids: [engine.pid, control.pid], enginePid: engine.pid, close };
}

export function version({ commit }) {
    return commit;
}
