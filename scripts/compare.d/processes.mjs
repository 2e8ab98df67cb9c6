// Programs under test: started on one core, watched, ended.

import { execFileSync, spawn } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const END_TIMEOUT_MS = 5_000;

/** Children that run. */
const running = new Set();

/** Starts a program that is ended with this process. */
export function start(program, args) {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    child.once('close', () => running.delete(child));
    return child;
}

/** Ends all of them at once when this process is told to end. */
export function endWithThisProcess() {
    for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]]) {
        process.on(signal, () => {
            for (const child of running) child.kill('SIGKILL');
            process.exit(code);
        });
    }
}

/** Starts a program on one core, its output in `log`. */
export function startPinned(core, program, args, log) {
    const child = start('taskset', ['-c', String(core), program, ...args]);
    const file = createWriteStream(log);
    child.stdout.pipe(file, { end: false });
    child.stderr.pipe(file, { end: false });
    child.once('close', () => file.end());
    child.once('error', (error) => file.write(`${error.message}\n`));
    return child;
}

/** Ends a child: TERM, and KILL where that is not heard. */
export async function end(child) {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await Promise.race([gone, sleep(END_TIMEOUT_MS, undefined, { ref: false })]);
    if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await gone;
    }
}

/** Waits until `ready` answers true; fails where the child ends first, with the end of its log. */
export async function waitFor(child, log, what, ready) {
    for (let tries = 0; tries < 200; tries += 1) {
        if (await ready().catch(() => false)) return;
        if (child.exitCode !== null || child.signalCode !== null) break;
        await sleep(50);
    }
    const tail = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-5).join('\n');
    throw new Error(`${what} did not start:\n${tail}`);
}

/** Memory that is these processes' alone and their part of what is shared, in bytes; of those that run. */
export function memoryBytes(pids) {
    let kib = 0;
    for (const pid of pids) {
        let text;
        try {
            text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
        } catch {
            continue;
        }
        kib += Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
    }
    return kib * 1024;
}

/** Keeps this process, and what it starts, on one core. */
export function pinThisProcess(core) {
    execFileSync('taskset', ['-a', '-c', '-p', String(core), String(process.pid)], { stdio: 'ignore' });
}
