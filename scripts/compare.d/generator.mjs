// weirgate-loadgen, played against a server.

import { readFileSync } from 'node:fs';
import path from 'node:path';

import { start } from './processes.mjs';

/** The scenario is not one that weirgate-loadgen knows. */
export class UsageError extends Error {}

/**
 * What weirgate-loadgen found out.
 *
 * @param {object} options `binaries`: folder of the programs; `url` of the server; `pids` under test
 *     beside the one the server names; `folder` for files; `before`: a command to start it with, such
 *     as `nsenter`
 * @param {string[]} words flags and scenario
 */
export async function play({ binaries, url, pids, folder, before = [] }, words) {
    const file = path.join(folder, 'outcome.json');
    const own = ['--server', url, '--json', file, '--quiet'];
    const processes = pids.flatMap((pid) => ['--pid', String(pid)]);
    const command = [
        ...before, path.join(binaries, 'weirgate-loadgen'), ...own, ...processes, ...words,
    ];
    const child = start(command[0], command.slice(1));
    child.stdout.resume();
    let complaint = '';
    child.stderr.on('data', (chunk) => (complaint = (complaint + chunk).slice(-4000)));
    const code = await new Promise((resolve, reject) => {
        child.once('error', reject);
        child.once('close', resolve);
    });
    // 1 is a bound that was broken or a server that did wrong, 3 a generator that could not keep up:
    // the figures say so.
    if (complaint.includes('\nUsage:')) throw new UsageError(complaint.trim());
    if (![0, 1, 3].includes(code)) throw new Error(`weirgate-loadgen: ${complaint.trim()}`);
    return JSON.parse(readFileSync(file, 'utf8'));
}

/** Why a run says nothing of the server; nothing where it does. */
export function problemOf({ participants, ending, inconclusive, totals }) {
    if (ending.how !== 'completed') return `${ending.how}: ${ending.why ?? ''}`;
    if (participants.failed > 0) return `${participants.failed} could not join: ${participants.failures[0]}`;
    if (totals.silentFlows > 0) return `${totals.silentFlows} receivers heard nothing`;
    if (inconclusive.length > 0) return `inconclusive: ${inconclusive.join('; ')}`;
    return undefined;
}
