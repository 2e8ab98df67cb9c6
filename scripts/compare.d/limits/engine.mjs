// One run of the engine under the traffic of a row.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { play, problemOf } from '../generator.mjs';
import { startOn } from '../servers/weirgate.mjs';
import { between, look } from './bystanders.mjs';
import { makeFar } from './far.mjs';
import * as profile from './profile.mjs';

const TOKEN = 'limits-of-one-host';
/** Of one core: more, and the figures are also others'. */
const MAX_OTHERS_CORES = 0.05;
const MAX_STOLEN_CORES = 0.05;

/**
 * Starts engine and control, plays the scenario, ends them.
 *
 * @param {object} settings of `readSettings`
 * @param {string} name for the folder of its logs
 * @param {object} run `scenario`; `shards` (1); `via`: `xdp` where the generator is to be at the other
 *     end of a veth pair
 * @returns {Promise<object>} figures, and `problem` where these say nothing
 */
export async function runEngine(settings, name, { scenario, shards = 1, via }) {
    const folder = settings.logs
        ? path.join(settings.logs, name)
        : mkdtempSync(path.join(os.tmpdir(), 'weirgate-limits-'));
    mkdirSync(folder, { recursive: true });
    let server;
    let far;
    try {
        far = via === 'xdp' ? await makeFar() : undefined;
        const cores = [settings.serverCore, settings.generatorCore].slice(0, shards).join(',');
        const { binaries } = settings;
        server = await startOn(far
            ? { cores, folder, binaries, io: via, media: `${far.ip}:10000`, http: far.ip, token: TOKEN }
            : { cores, folder, binaries, io: settings.io, media: '0.0.0.0:10000' });
        const generator = {
            binaries, url: server.url, pids: [server.enginePid], folder, before: far?.enter,
        };
        const words = [...(far ? ['--api-token', TOKEN] : []), ...scenario];
        const perf = path.join(folder, 'perf.data');
        const recording = settings.profile && profile.record(server.enginePid, perf);
        const lengthS = recording ? profile.DELAY_S + profile.LENGTH_S : settings.durationS;
        const before = look();
        const length = words.includes('--load') ? [] : ['--duration', `${lengthS}s`];
        const outcome = await play(generator, [...words, ...length]);
        const ours = new Set([process.pid, ...server.pids]);
        const meanwhile = between(before, look(), ours, settings.serverCore);
        const stages = recording && profile.draw(await recording, settings.profile, name);
        // The profiler is one of the others.
        const disturbed = recording ? undefined : disturbance(meanwhile);
        return {
            ...figuresOf(outcome, meanwhile), stages, disturbed,
            problem: problemOf(outcome) ?? disturbed,
        };
    } catch (error) {
        return { problem: String(error.message ?? error) };
    } finally {
        await server?.close();
        await far?.close();
        if (!settings.logs) rmSync(folder, { recursive: true, force: true });
    }
}

/** Why others on the machine make the figures worthless; nothing where they do not. */
export function disturbance({ othersCores, stolenCores }) {
    const percent = (cores) => `${(cores * 100).toFixed(0)} %`;
    if (othersCores > MAX_OTHERS_CORES) {
        return `inconclusive: other programs used ${percent(othersCores)} of a core`;
    }
    if (stolenCores > MAX_STOLEN_CORES) {
        return `inconclusive: the host took away ${percent(stolenCores)} of a core`;
    }
    return undefined;
}

function figuresOf(outcome, { softirqNs, othersCores, stolenCores }) {
    const measured = outcome.timeline.filter((second) => second.measured);
    const sum = (key) => measured.reduce((total, second) => total + second[key], 0);
    const { received, lost, wireBytes } = outcome.totals;
    const trains = trainsOf(outcome.trains);
    return {
        ns: outcome.cpu && outcome.cpu.usPerPacket * 1000,
        kernelNs: softirqNs / Math.max(received, 1),
        perSecond: sum('receivedPackets') / Math.max(sum('lengthS'), 0.001),
        bytes: Math.round(wireBytes / Math.max(received, 1)),
        lost,
        trains: outcome.trains,
        phases: outcome.phases,
        meanTrain: trains,
        p50Ms: outcome.latency?.p50,
        p99Ms: outcome.latency?.p99,
        latenessP50Ms: outcome.own.lateness?.p50,
        latenessP99Ms: outcome.own.lateness?.p99,
        generatorShare: outcome.own.cpuShare,
        engineCores: outcome.cpu?.cores,
        othersCores,
        stolenCores,
    };
}

/** Mean length of trains. */
export function trainsOf(counts) {
    const trains = counts.reduce((sum, { count }) => sum + count, 0);
    const packets = counts.reduce((sum, { length, count }) => sum + length * count, 0);
    return packets / Math.max(trains, 1);
}
