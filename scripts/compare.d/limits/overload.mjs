// A load that rises to the peak, is several times too high, and falls again.

import { median } from '../summary.mjs';
import { troubleOf } from './report.mjs';

/**
 * Of the steps of a run: all but the last two rise, then comes the overload, then what is ordinary. The
 * peak is the most that came in any step but the last: an overload may find more than the rise did, as
 * longer turns make longer trains.
 */
export function overloadFigures(phases) {
    const [over, after] = phases.slice(-2);
    const peak = Math.max(...phases.slice(0, -1).map(came));
    const { received, lost } = over.byKind.audio;
    return {
        times: (over.expectedPerSecond + (over.unread?.expectedPerSecond ?? 0)) / peak,
        goodput: came(over) / peak,
        audioLoss: lost / Math.max(received + lost, 1),
        p99Ms: over.latency?.p99 ?? Infinity,
        normalAfterMs: after.normalAfterMs ?? Infinity,
    };
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
