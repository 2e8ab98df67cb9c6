// From runs to verdicts, and the table.

import { median } from '../summary.mjs';

/** A row of `runs` against the floor: medians of the rounds that were good on both sides. */
export function judgeFloor(row, rounds) {
    const good = rounds.filter(({ engine, floor }) => !engine.problem && floor && !floor.problem);
    const of = (pick) => median(good.map(pick));
    // What a process leaves to the kernel's packet threads is no less work.
    const engineOf = ({ engine }) => engine.ns + engine.kernelNs;
    const floorOf = ({ floor }) => floor.ns + floor.kernelNs + floor.sealNs;
    const engineNs = of(engineOf);
    const floorNs = of(floorOf);
    const ratios = good.map((round) => engineOf(round) / floorOf(round));
    const problem = troubleOf(rounds, good, ({ engine, floor }) => engine.problem ?? floor?.problem);
    const result = {
        name: row.name, title: row.title, target: row.target, rounds, goodRounds: good.length, problem,
        engineNs, baseNs: floorNs, baseName: row.via === 'xdp' ? 'floor, xdp' : 'floor',
        meanTrain: of(({ engine }) => engine.meanTrain), floorTrain: of(({ floor }) => floor.train),
        ...ratioOf(engineNs, floorNs, ratios),
        trainCounts: sumOf(good.map(({ engine }) => engine.trains)),
        perSecond: of(({ engine }) => engine.perSecond),
        kernelNs: of(({ engine }) => engine.kernelNs), floorKernelNs: of(({ floor }) => floor.kernelNs),
    };
    result.verdict = verdictOf(result);
    if (row.delay) result.delay = delayOf(row.delay, good, result);
    return result;
}

/** A row of runs in two ways. */
export function judgePair(row, rounds) {
    const good = rounds.filter(({ first, second }) => !first.problem && !second.problem);
    const of = (pick) => median(good.map(pick));
    const costOf = (run) => run.ns + run.kernelNs;
    const engineNs = of(({ first }) => costOf(first));
    const baseNs = of(({ second }) => costOf(second));
    const ratios = good.map(({ first, second }) => costOf(first) / costOf(second));
    const result = {
        name: row.name, title: row.title, target: row.target, rounds, goodRounds: good.length,
        problem: troubleOf(rounds, good, ({ first, second }) => first.problem ?? second.problem),
        engineNs, baseNs, baseName: row.second.name, meanTrain: of(({ first }) => first.meanTrain),
        floorTrain: of(({ second }) => second.meanTrain), ...ratioOf(engineNs, baseNs, ratios),
        perSecond: of(({ first }) => first.perSecond),
        engineCores: of(({ second }) => second.engineCores),
    };
    result.verdict = verdictOf(result);
    return result;
}

/** What is known of a row by a code for all of them. */
export function exitCode(results) {
    const verdicts = results.flatMap(({ verdict, delay }) => [verdict, ...(delay ? [delay.verdict] : [])]);
    const failed = ({ engineNs, rounds }) => engineNs === undefined && !rounds.some(isInconclusive);
    if (results.some(failed)) return 2;
    if (verdicts.includes('not met')) return 1;
    return verdicts.includes('inconclusive') ? 3 : 0;
}

function isInconclusive({ engine, floor, first, second }) {
    return [engine, floor, first, second].some((run) => run?.problem?.startsWith('inconclusive'));
}

/** How many trains there were of each length, in all runs. */
function sumOf(runs) {
    const sums = new Map();
    for (const { length, count } of runs.flat()) sums.set(length, (sums.get(length) ?? 0) + count);
    return [...sums].sort(([a], [b]) => a - b).map(([length, count]) => ({ length, count }));
}

function ratioOf(ns, base, ratios) {
    if (ns === undefined || !base) return {};
    return { ratio: ns / base, least: Math.min(...ratios), most: Math.max(...ratios) };
}

/** Why a row says nothing: where most of its rounds do not. */
export function troubleOf(rounds, good, problem) {
    if (good.length * 2 > rounds.length) return undefined;
    return problem(rounds.find((round) => !good.includes(round)) ?? {}) ?? 'nothing measured';
}

function verdictOf({ problem, ratio, target }) {
    if (problem || ratio === undefined) return 'inconclusive';
    return ratio <= target ? 'met' : 'not met';
}

function delayOf(target, good, { problem }) {
    const of = (key) => median(good.map(({ engine }) => engine[key]));
    const [p50Ms, p99Ms] = [of('p50Ms'), of('p99Ms')];
    const isMet = p50Ms <= target.p50Ms && p99Ms <= target.p99Ms;
    return {
        target, p50Ms, p99Ms, latenessP50Ms: of('latenessP50Ms'), latenessP99Ms: of('latenessP99Ms'),
        verdict: problem || p50Ms === undefined ? 'inconclusive' : isMet ? 'met' : 'not met',
    };
}

const NAME_WIDTH = 14;
const INDENT = ' '.repeat(NAME_WIDTH);

/** For people. */
export function table(settings, about, results) {
    const titles = ['engine', 'against', 'ratio', 'range', 'target'].map((title) => title.padStart(11));
    const lines = [
        '',
        `${about.cpu}, ${about.cores} cores, Linux ${about.kernel}, commit ${about.commit}`,
        `engine (--io ${settings.io}) and the floor's sender on core ${settings.serverCore}, generator ` +
            `and receivers on core ${settings.generatorCore}; medians of ${settings.rounds} rounds in ` +
            'turns, ns of CPU time per packet',
        '',
        `${'row'.padEnd(NAME_WIDTH)}${titles.join('')}  verdict`,
    ];
    for (const result of results) lines.push(...linesOf(result));
    return `${lines.join('\n')}\n`;
}

/** Shares of the engine's time. */
export function stagesTable(name, stages) {
    const lines = stages.map(({ stage, share }) =>
        `  ${stage.padEnd(34)}${(share * 100).toFixed(1).padStart(6)} %`);
    return `${[name, ...lines].join('\n')}\n`;
}

function linesOf(result) {
    const { name, title, ratio, least, most, verdict, problem, delay } = result;
    if (result.targets) {
        const told = result.figures ?? '-';
        const first = `${name.padEnd(NAME_WIDTH)}${told}  ${verdict}`;
        const lines = [first, `${INDENT}${title}; ${result.targets}`];
        return problem ? [...lines, `${INDENT}${problem}`] : lines;
    }
    const cell = (value, digits = 0) => (value === undefined ? '-' : value.toFixed(digits)).padStart(11);
    const range = ratio === undefined ? '-' : `${least.toFixed(2)}-${most.toFixed(2)}`;
    const cells = [
        cell(result.engineNs), cell(result.baseNs), cell(ratio, 2), range.padStart(11),
        cell(result.target, 2),
    ];
    const lines = [
        `${name.padEnd(NAME_WIDTH)}${cells.join('')}  ${verdict}`,
        `${INDENT}${title}; ${detailsOf(result)}`,
    ];
    if (problem) lines.push(`${INDENT}${problem}`);
    if (delay) lines.push(...delayLines(delay));
    return lines;
}

function delayLines({ target, p50Ms, p99Ms, latenessP50Ms, latenessP99Ms, verdict }) {
    const ms = (value) => `${value?.toFixed(2) ?? '-'} ms`;
    return [
        `${'delay'.padEnd(NAME_WIDTH)}p50 ${ms(p50Ms)} (at most ${target.p50Ms}), ` +
            `p99 ${ms(p99Ms)} (at most ${target.p99Ms})  ${verdict}`,
        `${INDENT}in it the generator's own lateness: p50 ${ms(latenessP50Ms)}, p99 ${ms(latenessP99Ms)}`,
    ];
}

function detailsOf(result) {
    const { perSecond, meanTrain, floorTrain, baseName, kernelNs, floorKernelNs } = result;
    const number = (value, digits) => value?.toFixed(digits) ?? '-';
    const kernel = kernelNs === undefined
        ? ''
        : `; in it ksoftirqd ${number(kernelNs, 0)} and ${number(floorKernelNs, 0)} ns`;
    return `${number(perSecond, 0)} packets/s; trains of ${number(meanTrain, 2)}, ${baseName} ` +
        `${number(floorTrain, 2)}${kernel}; ${result.goodRounds} of ${result.rounds.length} rounds good`;
}
