// mediasoup: its Node.js library here, and one worker.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import { MediasoupAdapter } from '../adapters/mediasoup_adapter.mjs';
import { serve } from '../api.mjs';

const HOW = `mediasoup needs two variables:
  MEDIASOUP_PACKAGE     folder of its npm package, such as DIR/node_modules/mediasoup
  MEDIASOUP_WORKER_BIN  its worker, a binary built for this machine
A plain \`npm install mediasoup\` brings both where it can fetch or build the worker; with
MEDIASOUP_WORKER_BIN set it brings the package alone.`;

/** Why it can not be started here; nothing where it can. */
export function missing() {
    const { MEDIASOUP_PACKAGE: folder, MEDIASOUP_WORKER_BIN: worker } = process.env;
    if (!folder || !worker) return HOW;
    if (!existsSync(path.join(folder, 'package.json'))) {
        return `MEDIASOUP_PACKAGE: no package.json in ${folder}`;
    }
    if (!existsSync(worker)) return `MEDIASOUP_WORKER_BIN: no ${worker}`;
    return undefined;
}

export function version() {
    return `mediasoup ${description().version}`;
}

export async function start({ core, ip }) {
    const folder = process.env.MEDIASOUP_PACKAGE;
    const { main, exports } = description();
    const entry = main ?? exports?.['.']?.default ?? 'node/lib/index.js';
    const loaded = await import(pathToFileURL(path.resolve(folder, entry)).href);
    const mediasoup = loaded.createWorker ? loaded : loaded.default;
    const worker = await mediasoup.createWorker({
        logLevel: 'error',
        workerBin: process.env.MEDIASOUP_WORKER_BIN,
    });
    try {
        execFileSync('taskset', ['-a', '-c', '-p', String(core), String(worker.pid)], {
            stdio: 'ignore',
        });
        const adapter = await serve(await MediasoupAdapter.start(worker, ip));
        const close = async () => {
            await adapter.close();
            if (worker.subprocessClosed) return;
            const gone = new Promise((resolve) => worker.once('subprocessclose', resolve));
            worker.close();
            await gone;
        };
        return { url: adapter.url, pids: [worker.pid], close };
    } catch (error) {
        worker.close();
        throw error;
    }
}

function description() {
    return JSON.parse(readFileSync(path.join(process.env.MEDIASOUP_PACKAGE, 'package.json'), 'utf8'));
}
