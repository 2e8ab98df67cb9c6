// What sending the same traffic takes at least, by weirgate-floor.

import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';

const DURATION_S = 2;
/** A train this near to a whole number of packets is taken for that. */
const NEAR = 0.02;

/**
 * Sends `receivers` × `perReceiver` packets a second of `bytes`, to one of `groups` of receivers after
 * the other as rooms get theirs, in trains of `train`, which may lie
 * between whole numbers: then in the two next to it, and between these by cost per train, which is
 * what trains share out among their packets.
 *
 * @returns {Promise<{ns: number, sealNs: number, kernelNs: number, problem?: string, sends: object[]}>}
 *     `ns` per packet of the sender, `sealNs` to copy and seal one, `kernelNs` that the kernel's packet
 *     threads took over
 */
export async function floor(settings, traffic) {
    const { receivers, groups = 1, perReceiver, bytes, train, sockets, via = 'bare' } = traffic;
    const [below, above] = lengths(train);
    const sends = [];
    let sealNs;
    for (const length of new Set([below, above])) {
        const { stdout } = await promisify(execFile)(path.join(settings.binaries, 'weirgate-floor'), [
            '--receivers', String(receivers), '--groups', String(groups),
            '--burst', String(length), '--train', String(length),
            '--packet', String(bytes), '--pace', String(perReceiver), '--rounds', '1',
            '--duration', String(DURATION_S), '--via', via, '--sockets', sockets,
            '--link', via === 'xdp' ? 'veth' : 'loopback',
            '--sender-core', String(settings.serverCore),
            '--receiver-core', String(settings.generatorCore), '--json', '-',
        ]);
        const report = JSON.parse(stdout);
        sends.push(report.send[0]);
        sealNs = report.seal[0].ns;
    }
    const [first, last = first] = sends;
    const share = between(train, below, above);
    const at = (key) => first[key] + (last[key] - first[key]) * share;
    return {
        ns: at('senderNs'), sealNs, kernelNs: at('kernelNs'), train, sends,
        problem: sends.find(({ inconclusive }) => inconclusive)?.inconclusive,
    };
}

/** The whole numbers around a train's length. */
export function lengths(train) {
    const near = Math.max(Math.round(train), 1);
    if (Math.abs(train - near) <= near * NEAR) return [near, near];
    return [Math.max(Math.floor(train), 1), Math.max(Math.ceil(train), 1)];
}

/** How far from the one to the other, by trains per packet. */
export function between(train, below, above) {
    if (below === above) return 0;
    return (1 / below - 1 / train) / (1 / below - 1 / above);
}
