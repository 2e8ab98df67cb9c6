// The far end of a veth pair, in a network namespace that goes with a process.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';

import { end, start } from '../processes.mjs';

const HERE = '10.77.1.1';
const THERE = '10.77.1.2';

/**
 * Makes it.
 *
 * @returns {Promise<{ip: string, enter: string[], close: () => Promise<void>}>} `ip`: ours; `enter`: the
 *     command that runs a program there
 */
export async function makeFar() {
    const holder = start('unshare', ['--net', 'sh', '-c', 'echo ready; exec sleep 1000']);
    await Promise.race([once(holder.stdout, 'data'), failed(holder)]);
    const enter = ['nsenter', `--net=/proc/${holder.pid}/ns/net`];
    const run = (line) => {
        const [program, ...args] = line.split(' ');
        execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    };
    const there = (line) => run(`${enter.join(' ')} ${line}`);
    run(`ip link add limits0 type veth peer name limits1 netns ${holder.pid}`);
    run(`ip address add ${HERE}/24 dev limits0`);
    run('ip link set limits0 up');
    there('ip link set lo up');
    there(`ip address add ${THERE}/24 dev limits1`);
    there('ip link set limits1 up');
    return { ip: HERE, enter, close: () => end(holder) };
}

/** Fails when that ends, or can not be started. */
async function failed(child) {
    let complaint = '';
    child.stderr.on('data', (chunk) => (complaint += chunk));
    await once(child, 'close');
    throw new Error(`no network namespace: ${complaint.trim()}`);
}
