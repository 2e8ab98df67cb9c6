// Where the engine's time goes: stacks by perf, drawn by inferno, summed up by stage.

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { start } from '../processes.mjs';

/** After everyone has joined, on machines that are not too slow. */
export const DELAY_S = 12;
export const LENGTH_S = 8;
const SAMPLES_PER_SECOND = 1499;

/**
 * The stages of the shard's loop: the first whose pattern a function of a stack matches has the
 * sample. What the kernel does on our behalf comes first, then what is called, then its callers.
 */
export const STAGES = [
    ['kernel: send', /sendmmsg|__sys_sendmsg|io_sendmsg|io_send\b|udp_sendmsg|xsk_sendmsg/],
    ['kernel: receive', /recvmmsg|io_recvmsg|udp_recvmsg|____sys_recvmsg/],
    ['kernel: waiting and the rest', /entry_SYSCALL_64|\[k\]|do_syscall_64|asm_sysvec|asm_common_interrupt/],
    ['seal', /weirgate_srtp|ring::aead|ring_core/],
    ['departure: number, write, copy', /Shard::poll_transmit|weirgate_shard::shard::departure|departure::/],
    ['arrival: demultiplex, choose', /Shard::handle_datagrams|weirgate_shard::shard::ingress/],
    ['timers, RTCP', /Shard::handle_timeout/],
    ['back end', /weirgate_io/],
    ['the rest', /./],
];

/** What is missing to profile; nothing where all is there. */
export function missing() {
    for (const [tool, how] of [
        ['perf', 'apt-get install linux-perf'],
        ['inferno-collapse-perf', 'cargo install inferno'],
        ['inferno-flamegraph', 'cargo install inferno'],
    ]) {
        try {
            execFileSync('which', [tool], { stdio: 'ignore' });
        } catch {
            return `--profile: ${tool} is missing: ${how}`;
        }
    }
    return undefined;
}

/** Looks at a process for some seconds while it is at work; answers the file once that is over. */
export async function record(pid, file) {
    await sleep(DELAY_S * 1000);
    const perf = start('perf', [
        'record', '-e', 'cpu-clock', '-F', String(SAMPLES_PER_SECOND), '--call-graph', 'dwarf,4096',
        '-p', String(pid), '-o', file, '--', 'sleep', String(LENGTH_S),
    ]);
    perf.stdout.resume();
    let complaint = '';
    perf.stderr.on('data', (chunk) => (complaint += chunk));
    const code = await new Promise((resolve) => perf.once('close', resolve));
    if (code !== 0) throw new Error(`perf: ${complaint.trim()}`);
    return file;
}

/** Draws what was recorded as NAME.svg in a folder; answers each stage's share. */
export function draw(file, folder, name) {
    mkdirSync(folder, { recursive: true });
    const run = (program, args, input) =>
        execFileSync(program, args, {
            input, maxBuffer: 1 << 30, encoding: 'utf8', stdio: ['pipe', 'pipe', 'ignore'],
        });
    // Functions that the compiler put into others take minutes to find.
    const stacks = run('perf', ['script', '--no-inline', '-i', file]);
    const folded = run('inferno-collapse-perf', [], stacks);
    const svg = run('inferno-flamegraph', ['--title', name, '--minwidth', '0.3', '--hash'], folded);
    writeFileSync(path.join(folder, `${name}.svg`), withoutScript(svg));
    return shares(folded);
}

/** A picture that runs nothing: what its script would do, search and zoom, is left out. */
export function withoutScript(svg) {
    return svg
        .replace(/<script[^]*?<\/script>/g, '')
        .replace(/ onload="[^"]*"/, '')
        .replace(/<text id="(?:search|unzoom)"[^]*?<\/text>/g, '');
}

/** Share of each stage in folded stacks. */
export function shares(folded) {
    const sums = new Map(STAGES.map(([stage]) => [stage, 0]));
    let all = 0;
    for (const line of folded.split('\n').filter(Boolean)) {
        const at = line.lastIndexOf(' ');
        const count = Number(line.slice(at + 1));
        const [stage] = STAGES.find(([, pattern]) => pattern.test(line.slice(0, at)));
        sums.set(stage, sums.get(stage) + count);
        all += count;
    }
    return [...sums].map(([stage, count]) => ({ stage, share: count / Math.max(all, 1) }));
}
