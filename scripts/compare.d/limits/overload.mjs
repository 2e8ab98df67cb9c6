// A load that rises to the peak and is several times too high, again and again, and falls.

import { median } from '../summary.mjs';
import { troubleOf } from './report.mjs';

/**
 * Of the steps of a run: the last is ordinary; of the others those with the greatest share of senders are
 * overloads. Each is held against the most that came in the steps between it and the overload before, as
 * what a machine carries changes within a minute; the figures are those of the middle one.
 */
export function overloadFigures(phases) {
    const after = phases.at(-1);
    const most = Math.max(...phases.map(({ share }) => share));
    const overloads = [];
    let peak = 0;
    for (const phase of phases.slice(0, -1)) {
        if (phase.share < most) {
            peak = Math.max(peak, came(phase));
            continue;
        }
        const due = phase.expectedPerSecond + (phase.unread?.expectedPerSecond ?? 0);
        overloads.push({ phase, times: due / peak, goodput: came(phase) / peak });
        peak = 0;
    }
    const audio = overloads.map(({ phase }) => phase.byKind.audio);
    const lost = sum(audio, 'lost');
    return {
        times: median(overloads.map(({ times }) => times)),
        goodput: median(overloads.map(({ goodput }) => goodput)),
        audioLoss: lost / Math.max(sum(audio, 'received') + lost, 1),
        p99Ms: middle(overloads.map(({ phase }) => phase.latency?.p99 ?? Infinity)),
        normalAfterMs: after.normalAfterMs ?? Infinity,
    };
}

function sum(all, key) {
    return all.reduce((total, of) => total + of[key], 0);
}

/** What came, also to sockets that nobody reads: who is shed is chosen of all receivers. */
function came({ receivedPerSecond, unread }) {
    return receivedPerSecond + (unread?.camePerSecond ?? 0);
}

/** For people. */
export function overloadText({ times, goodput, audioLoss, p99Ms, normalAfterMs }) {
    return `at ${times.toFixed(1)} × the peak: goodput ${(goodput * 100).toFixed(0)} % of it, ` +
        `${(audioLoss * 100).toFixed(2)} % of audio lost, p99 ${p99Ms.toFixed(0)} ms, ` +
        `normal ${(normalAfterMs / 1000).toFixed(1)} s after`;
}

/** A row of such runs. */
export function judgeOverload(row, rounds) {
    const good = rounds.filter(({ engine }) => engine.phases?.length > 2 && !isFailure(engine));
    const all = good.map(({ engine }) => overloadFigures(engine.phases));
    const figures = all.length > 0
        ? Object.fromEntries(Object.keys(all[0]).map((key) => [key, middle(all.map((of) => of[key]))]))
        : undefined;
    const { goodput, audioLoss, p99Ms, normalAfterMs } = row.targets;
    const isMet = figures && figures.goodput >= goodput && figures.audioLoss < audioLoss &&
        figures.p99Ms < p99Ms && figures.normalAfterMs < normalAfterMs;
    let problem = troubleOf(rounds, good, ({ engine }) => engine?.problem);
    if (!problem && figures.times < row.times) problem = 'inconclusive: not enough load';
    return {
        name: row.name, title: row.title, rounds, goodRounds: good.length, problem,
        figures: figures && overloadText(figures), engineNs: figures && 0,
        targets: `at least ${goodput * 100} %, under ${audioLoss * 100} %, ${p99Ms} ms, ` +
            `${normalAfterMs / 1000} s`,
        verdict: problem ? 'inconclusive' : isMet ? 'met' : 'not met',
    };
}

/** The median, of numbers that may be infinite. */
function middle(values) {
    return values.includes(Infinity) ? Infinity : median(values);
}

/**
 * That the generator is late and loses some of what comes is no failure here: it is in the figures. Nor
 * are receivers whose video was shed all the time.
 */
function isFailure({ problem, disturbed }) {
    if (disturbed !== undefined) return true;
    return problem !== undefined && !/^inconclusive|heard nothing$/.test(problem);
}
