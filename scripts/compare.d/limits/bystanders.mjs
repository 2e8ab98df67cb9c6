// Who else used the machine meanwhile.

import { readdirSync, readFileSync } from 'node:fs';

/** CPU time of every thread so far, and what the host took away. */
export function look() {
    const threads = new Map();
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
        for (const tid of list(`/proc/${pid}/task`)) {
            const [ns] = (read(`/proc/${pid}/task/${tid}/schedstat`) ?? '').split(' ');
            if (ns) threads.set(tid, { pid: Number(pid), ns: Number(ns) });
        }
    }
    // Of all cores, in hundredths of a second.
    const stolen = Number(/^cpu +(?:\d+ ){7}(\d+)/m.exec(read('/proc/stat') ?? '')?.[1] ?? 0);
    return { at: process.hrtime.bigint(), threads, stolen };
}

/**
 * What happened between two looks, in cores: `othersCores` by processes that are not `ours`,
 * `stolenCores` by the host. `softirqNs` is the CPU time of the kernel's packet thread of one core.
 */
export function between(before, after, ours, core) {
    const seconds = Number(after.at - before.at) / 1e9;
    let others = 0;
    let softirqNs = 0;
    for (const [tid, { pid, ns }] of after.threads) {
        const used = ns - (before.threads.get(tid)?.ns ?? 0);
        if (ours.has(pid)) continue;
        const name = read(`/proc/${pid}/comm`)?.trim();
        if (name === `ksoftirqd/${core}`) softirqNs += used;
        // Those of the kernel work for those that run.
        if (used > 0 && !isKernel(pid)) others += used;
    }
    return {
        othersCores: others / 1e9 / seconds,
        stolenCores: (after.stolen - before.stolen) / 100 / seconds,
        softirqNs,
    };
}

/** Threads of the kernel have no memory of their own. */
function isKernel(pid) {
    return !/^VmSize:/m.test(read(`/proc/${pid}/status`) ?? '');
}

function list(folder) {
    try {
        return readdirSync(folder);
    } catch {
        return [];
    }
}

function read(file) {
    try {
        return readFileSync(file, 'utf8');
    } catch {
        return undefined;
    }
}
