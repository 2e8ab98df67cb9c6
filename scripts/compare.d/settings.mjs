// What was asked for on the command line.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

const DEFAULT_SCENARIO = ['livestream', '--receivers', '50', '--video', '1.5M', '--duration', '8s'];

const MODULES = {
    weirgate: './servers/weirgate.mjs',
    janus: './servers/janus.mjs',
    mediasoup: './servers/mediasoup.mjs',
};

/** Settings, of servers that can be started here. */
export async function readSettings(args) {
    const text = { type: 'string' };
    const { values, positionals } = parseArgs({
        args,
        allowPositionals: true,
        options: {
            servers: text, rounds: { ...text, default: '3' }, json: text, logs: text,
            'server-core': text, 'generator-core': text,
            capacity: { type: 'boolean', default: false },
            ip: text, binaries: text, commit: text,
        },
    });
    const rounds = Number(values.rounds);
    if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1000) {
        throw new Error(`--rounds: ${values.rounds} is not a number from 1 to 1000`);
    }
    return {
        servers: await serversOf(values.servers ?? defaultServers()),
        rounds,
        capacity: values.capacity,
        ...coresOf(values),
        json: values.json && path.resolve(values.json),
        logs: values.logs && path.resolve(values.logs),
        scenario: positionals.length > 0 ? positionals : DEFAULT_SCENARIO,
        ip: values.ip,
        binaries: values.binaries,
        commit: values.commit,
    };
}

function defaultServers() {
    return process.env.MEDIASOUP_WORKER_BIN ? 'weirgate,janus,mediasoup' : 'weirgate,janus';
}

async function serversOf(list) {
    const servers = [];
    for (const name of list.split(',')) {
        const [program, variant] = name.split('/');
        const variants = program === 'weirgate' ? [undefined, 'uring', 'mmsg'] : [undefined];
        if (!MODULES[program] || !variants.includes(variant)) {
            throw new Error(
                `--servers: ${name} is none of weirgate, weirgate/uring, weirgate/mmsg, janus, mediasoup`,
            );
        }
        const module = await import(MODULES[program]);
        const missing = module.missing?.();
        if (missing) throw new Error(missing);
        servers.push({ name, variant, start: module.start, version: module.version });
    }
    return servers;
}

/** The server's core and another for the generator, from flags of these names. */
export function coresOf(values) {
    const cores = allowedCores();
    const serverCore = coreOf(values['server-core'], 'server-core', cores, cores[0]);
    const others = cores.filter((core) => core !== serverCore);
    const generatorCore = coreOf(values['generator-core'], 'generator-core', cores, others[0]);
    if (generatorCore === undefined || generatorCore === serverCore) {
        throw new Error('--generator-core: the generator needs a core that is not the server\'s');
    }
    return { serverCore, generatorCore };
}

/** Cores this process may use, as `taskset` and containers leave them. */
function allowedCores() {
    const status = readFileSync('/proc/self/status', 'utf8');
    const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? '0';
    return list.split(',').flatMap((part) => {
        const [first, last = first] = part.split('-').map(Number);
        return Array.from({ length: last - first + 1 }, (_, at) => first + at);
    });
}

function coreOf(given, name, cores, otherwise) {
    if (given === undefined) return otherwise;
    const core = Number(given);
    if (!cores.includes(core)) {
        throw new Error(`--${name}: ${given} is none of the cores that can be used, ${cores.join(', ')}`);
    }
    return core;
}
