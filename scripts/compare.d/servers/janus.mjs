// Janus with its videoroom plugin, as Debian has it.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { JanusAdapter } from '../adapters/janus_adapter.mjs';
import { JanusSession } from '../adapters/janus_session.mjs';
import { serve } from '../api.mjs';
import { end, startPinned, waitFor } from '../processes.mjs';

const API = 'http://127.0.0.1:8088/janus';
const OTHER_PLUGINS = [
    'audiobridge', 'duktape', 'echotest', 'lua', 'nosip', 'recordplay', 'sip', 'streaming', 'textroom',
    'videocall', 'voicemail',
];
const OTHER_TRANSPORTS = ['mqtt', 'nanomsg', 'pfunix', 'rabbitmq', 'websockets'];

/** Why it can not be started here; nothing where it can. */
export function missing() {
    try {
        version();
        return undefined;
    } catch {
        return 'janus is not installed: apt-get install --no-install-recommends janus';
    }
}

export function version() {
    const help = execFileSync('janus', ['--help'], { encoding: 'utf8' });
    return `Janus ${/\(([\d.]+)\)/.exec(help)?.[1] ?? '?'}`;
}

export async function start({ core, ip, folder }) {
    configure(folder, ip);
    const log = path.join(folder, 'janus.log');
    const janus = startPinned(core, 'janus', ['--disable-colors', '--configs-folder', folder], log);
    let session;
    let adapter;
    const close = async () => {
        await adapter?.close();
        await session?.close();
        await end(janus);
    };
    try {
        await waitFor(janus, log, 'Janus', async () => (await fetch(`${API}/info`)).ok);
        session = await JanusSession.open(API);
        adapter = await serve(new JanusAdapter(session, janus.pid));
    } catch (error) {
        await close();
        throw error;
    }
    return { url: adapter.url, pids: [janus.pid], close };
}

/** What it would do by default, less plugins, transports and log lines that have no part in this. */
function configure(folder, ip) {
    writeFileSync(
        path.join(folder, 'janus.jcfg'),
        `general: { debug_level = 2, session_timeout = 0 }
         nat: { ice_lite = true, ice_enforce_list = "${ip}" }
         plugins: { disable = "${libraries(OTHER_PLUGINS)}" }
         transports: { disable = "${libraries(OTHER_TRANSPORTS)}" }\n`,
    );
    writeFileSync(
        path.join(folder, 'janus.transport.http.jcfg'),
        'general: { http = true, port = 8088, ip = "127.0.0.1", https = false }\n',
    );
    writeFileSync(path.join(folder, 'janus.plugin.videoroom.jcfg'), 'general: { events = false }\n');
}

function libraries(names) {
    return names.map((name) => `libjanus_${name}.so`).join(',');
}
