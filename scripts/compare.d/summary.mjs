// From runs to medians and ratios.

import { readFileSync } from 'node:fs';
import os from 'node:os';

/** What is compared: key, title, digits. Less is better but where said otherwise. */
const ROWS = [
    ['cpuUsPerPacket', 'CPU, us per packet', 2],
    ['byCpuPerSecond', 'packets/s a core has CPU time for', 0],
    ['capacityPerSecond', 'packets/s carried, as searched', 0],
    ['p50Ms', 'latency p50, ms', 2],
    ['p99Ms', 'latency p99, ms', 2],
    ['p999Ms', 'latency p99.9, ms', 2],
    ['memoryKib', 'memory per participant, KiB', 0],
    ['memoryIdleMib', 'memory before anyone joined, MiB', 1],
    ['receivedPerSecond', 'packets/s received', 0],
    ['lossPercent', 'lost, %', 3],
];

/**
 * The figures of one run; `undefined` for what could not be measured. `capacity` is what a search
 * gave, where there was one.
 */
export function figuresOf(outcome, { idleBytes, peakBytes, capacity }) {
    const cpuUsPerPacket = outcome.cpu?.usPerPacket || undefined;
    return {
        cpuUsPerPacket,
        // An estimate: what this cost per packet would let one core carry.
        byCpuPerSecond: cpuUsPerPacket && 1e6 / cpuUsPerPacket,
        // Where the generator was full before the server, what it would take to fill that.
        capacityPerSecond: capacity?.derived?.packetsPerSecond ?? capacity?.packetsPerSecond,
        p50Ms: outcome.latency?.p50,
        p99Ms: outcome.latency?.p99,
        p999Ms: outcome.latency?.p999,
        memoryKib: (peakBytes - idleBytes) / 1024 / Math.max(outcome.participants.joined, 1),
        memoryIdleMib: idleBytes / 1024 / 1024,
        receivedPerSecond: receivedPerSecond(outcome),
        lossPercent: (outcome.totals.lost / Math.max(outcome.totals.expected, 1)) * 100,
    };
}

function receivedPerSecond({ timeline }) {
    const measured = timeline.filter((second) => second.measured);
    const sum = (key) => measured.reduce((total, second) => total + second[key], 0);
    return sum('receivedPackets') / Math.max(sum('lengthS'), 0.001);
}

/** By server: medians of its good runs, and their ratios to the first server's. */
export function summarize(servers, runs) {
    const medians = servers.map(({ name }) => {
        const good = runs.filter((run) => run.server === name && run.figures);
        const figures = ROWS.map(([key]) => [key, median(good.map((run) => run.figures[key]))]);
        return { server: name, goodRuns: good.length, medians: Object.fromEntries(figures) };
    });
    const first = medians[0].medians;
    return medians.map((entry) => ({
        ...entry,
        ratios: Object.fromEntries(
            ROWS.map(([key]) => [key, ratio(entry.medians[key], first[key])]),
        ),
    }));
}

/** The middle of the numbers, or the mean of the two in the middle. */
export function median(values) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    if (sorted.length === 0) return undefined;
    const middle = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** For people. */
export function table(settings, about, summary, runs) {
    const width = 22;
    const cell = (text) => String(text).padStart(width);
    const lines = [
        '',
        `${settings.scenario.join(' ')}`,
        `${about.cpu}, ${about.cores} cores, Linux ${about.kernel}; server on core ` +
            `${settings.serverCore}, generator on core ${settings.generatorCore}`,
        `${settings.servers.map((server) => `${server.name}: ${about.versions[server.name]}`).join('; ')}`,
        `medians of ${settings.rounds} runs each in turn; in brackets as a multiple of ${summary[0].server}`,
        '',
        ' '.repeat(34) + summary.map(({ server }) => cell(server)).join(''),
    ];
    for (const [key, title, digits] of ROWS) {
        const cells = summary.map(({ medians, ratios }, at) => {
            const value = medians[key];
            if (value === undefined) return cell('-');
            const times = at > 0 && ratios[key] !== undefined ? ` (${ratios[key].toFixed(2)})` : '';
            return cell(value.toFixed(digits) + times);
        });
        lines.push(title.padEnd(34) + cells.join(''));
    }
    lines.push('good runs'.padEnd(34) + summary.map(({ goodRuns }) => cell(goodRuns)).join(''), '');
    for (const run of runs.filter(({ problem }) => problem)) {
        lines.push(`left out: ${run.server}, round ${run.round}: ${run.problem}`);
    }
    return `${lines.join('\n')}\n`;
}

/** What the figures are of. */
export function machine(settings) {
    const model = /^model name\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1];
    return {
        cpu: model ?? os.arch(),
        cores: os.cpus().length,
        kernel: os.release(),
        commit: settings.commit,
        versions: Object.fromEntries(
            (settings.servers ?? []).map((server) => [server.name, server.version(settings)]),
        ),
        serverCore: settings.serverCore,
        generatorCore: settings.generatorCore,
    };
}

function ratio(value, base) {
    return value === undefined || !base ? undefined : value / base;
}
