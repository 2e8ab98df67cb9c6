import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { withResults, withStages } from '../limits/document.mjs';
import { disturbance, trainsOf } from '../limits/engine.mjs';
import { between, lengths } from '../limits/floor.mjs';
import { exitCode, judgeFloor, judgePair, table } from '../limits/report.mjs';
import { judgeOverload } from '../limits/overload.mjs';
import { shares, withoutScript } from '../limits/profile.mjs';
import { ROWS } from '../limits/rows.mjs';
import { readSettings } from '../limits/settings.mjs';

const LIMITS = fileURLToPath(new URL('../../limits', import.meta.url));

const ROW = { name: 'a', title: 'A', target: 1.3 };

function round(engineNs, floorNs, { problem, floorProblem, p99Ms = 1 } = {}) {
    return {
        engine: {
            ns: engineNs - 50, kernelNs: 50, meanTrain: 9,
            trains: [{ length: 1, count: 9 }, { length: 9, count: 3 }],
            p50Ms: 1, p99Ms, perSecond: 54_000, problem,
        },
        floor: { ns: floorNs - 210, kernelNs: 10, sealNs: 200, train: 9, problem: floorProblem },
    };
}

test('the ratio is that of the medians, of rounds good on both sides', () => {
    const rounds = [
        round(1200, 1000), round(1250, 1000), round(1300, 1000),
        round(9000, 1000, { problem: 'inconclusive: busy' }),
        round(1200, 100, { floorProblem: 'inconclusive: lost' }),
    ];
    const result = judgeFloor(ROW, rounds);
    assert.deepEqual(
        [result.engineNs, result.baseNs, result.ratio, result.goodRounds, result.verdict],
        [1250, 1000, 1.25, 3, 'met'],
    );
    assert.deepEqual([result.least, result.most], [1.2, 1.3]);
    assert.equal(judgeFloor(ROW, [round(1400, 1000)]).verdict, 'not met');
});

test('a row whose rounds mostly say nothing says nothing', () => {
    const bad = round(1200, 1000, { problem: 'inconclusive: late' });
    const result = judgeFloor(ROW, [bad, bad, round(1200, 1000)]);
    assert.deepEqual([result.verdict, result.problem], ['inconclusive', 'inconclusive: late']);
    assert.equal(exitCode([result]), 3);
});

test('the delay has a verdict of its own', () => {
    const row = { ...ROW, delay: { p50Ms: 2, p99Ms: 5 } };
    const quick = judgeFloor(row, [round(1200, 1000)]);
    const slow = judgeFloor(row, [round(1200, 1000, { p99Ms: 6 })]);
    assert.deepEqual([quick.delay.verdict, slow.delay.verdict, slow.verdict], ['met', 'not met', 'met']);
    assert.deepEqual([exitCode([quick]), exitCode([quick, slow])], [0, 1]);
});

test('two ways of running the engine are compared with each other', () => {
    const row = { ...ROW, target: 1.6, first: { name: 'one' }, second: { name: 'other' } };
    const run = (ns) => ({ ns, kernelNs: 0, meanTrain: 9, perSecond: 1, engineCores: 0.2 });
    const result = judgePair(row, [{ first: run(1500), second: run(1000) }]);
    assert.deepEqual([result.ratio, result.verdict], [1.5, 'met']);
    const failed = judgePair(row, [{ first: { problem: 'did not start' }, second: run(1000) }]);
    assert.deepEqual([failed.verdict, failed.problem], ['inconclusive', 'did not start']);
    assert.equal(exitCode([failed]), 2);
});

test('an overload is judged by goodput, audio, delay and how soon it is over', () => {
    const phase = (share, expectedPerSecond, receivedPerSecond, more = {}) => ({
        share, expectedPerSecond, receivedPerSecond, latency: { p99: 50 }, normalAfterMs: 300,
        byKind: { audio: { received: 9999, lost: 1 } }, ...more,
    });
    const rise = [phase(0.2, 50, 50), phase(0.4, 110, 100)];
    const rowOf = (...phases) => judgeOverload(ROWS.overload, [{ engine: { phases } }]);
    const judge = (over, after = {}) => rowOf(...rise, phase(1, 300, 96, over), phase(0.1, 80, 80, after));
    const met = judge({});
    assert.equal(met.verdict, 'met');
    assert.match(met.figures, /^at 3\.0 × the peak: goodput 96 % of it, 0\.01 % of audio lost, p99 50 ms, normal 0\.3 s/);
    assert.equal(judge({ latency: { p99: 120 } }).verdict, 'not met');
    assert.equal(judge({ receivedPerSecond: 90 }).verdict, 'not met');
    assert.equal(judge({}, { normalAfterMs: null }).verdict, 'not met');
    assert.equal(judge({ byKind: { audio: { received: 99, lost: 1 } } }).verdict, 'not met');
    const weak = judge({ expectedPerSecond: 200 });
    assert.deepEqual([weak.verdict, weak.problem], ['inconclusive', 'inconclusive: not enough load']);
    // Each against the peak before it: 96, 90 and 120 %.
    const [first, second, third] = [phase(1, 300, 96), phase(1, 150, 45), phase(1, 300, 120)];
    const thrice = rowOf(...rise, first, phase(0.4, 55, 50), second, ...rise, third, phase(0.1, 80, 80));
    assert.match(thrice.figures, /^at 3\.0 .* goodput 96 %/);
    // What nobody reads counts too.
    const unread = (expectedPerSecond, camePerSecond) => ({ unread: { expectedPerSecond, camePerSecond } });
    const wide = [
        phase(0.4, 100, 100, unread(900, 900)), phase(1, 300, 50, unread(2700, 910)),
        phase(0.1, 80, 80, unread(720, 720)),
    ];
    assert.match(rowOf(...wide).figures, /^at 3\.0 .* goodput 96 %/);
    const phases = [...rise, phase(1, 300, 96), phase(0.1, 80, 80)];
    const silent = { problem: '3 receivers heard nothing', phases };
    assert.equal(judgeOverload(ROWS.overload, [{ engine: silent }]).verdict, 'met');
    assert.equal(judgeOverload(ROWS.overload, [{ engine: { problem: 'did not start' } }]).verdict, 'inconclusive');
});

test('the table has every row, measured or not', () => {
    const about = { cpu: 'x', cores: 2, kernel: '6', commit: 'c' };
    const settings = { io: 'auto', rounds: 1, serverCore: 0, generatorCore: 1 };
    const missing = judgeFloor(ROW, [{ engine: { problem: 'engine: gone' } }]);
    const text = table(settings, about, [judgeFloor(ROW, [round(1250, 1000)]), missing]);
    assert.match(text, /a +1250 +1000 +1\.25 +1\.25-1\.25 +1\.30 {2}met/);
    assert.match(text, /engine: gone/);
});

test('a document gets the figures of the rows measured, and keeps the others', () => {
    const text = 'x\n| `a` | old |\n| `delay` | old |\n| `b` | old |\n| trains of `a` | old |\n';
    const row = { ...ROW, delay: { p50Ms: 2, p99Ms: 5 } };
    const updated = withResults(text, [judgeFloor(row, [round(1250, 1000)])], 'abc');
    const lines = updated.split('\n');
    assert.equal(
        lines[1],
        '| `a` | A | 1,250 ns, trains of 9.0 | 1,000 ns (floor, 9.0) | **1.25** (1.25–1.25), at most 1.3 | met | abc |',
    );
    assert.match(lines[2], /^\| `delay` .* 1\.0 ms \/ 1\.0 ms .* met \| abc \|$/);
    assert.deepEqual([lines[0], lines[3], lines.length], ['x', '| `b` | old |', 6]);
    assert.equal(lines[4], '| trains of `a` | 25.0 |  |  |  |  | 75.0 |  |  |');
    assert.throws(() => withResults('x', [judgeFloor(ROW, [round(1250, 1000)])], 'abc'), /no line/);
});

test('a document gets the shares of stages between its marks', () => {
    const shares = [{ stage: 'send', share: 0.5 }, { stage: 'the rest', share: 0.25 }];
    const updated = withStages('a\n<!-- stages -->\nold\n<!-- /stages -->\nb\n', { rooms: shares });
    assert.equal(
        updated,
        "a\n<!-- stages -->\n| share of the shard's time, % | `rooms` |\n|---|---|\n" +
            '| send | 50.0 |\n| the rest | 25.0 |\n<!-- /stages -->\nb\n',
    );
    assert.throws(() => withStages('a', { rooms: shares }), /<!-- stages -->/);
});

test('a sample is of the first stage that its stack shows', () => {
    const folded = [
        'shard-0;Driver::run;io_uring_enter;entry_SYSCALL_64_after_hwframe;io_sendmsg;udp_sendmsg 6',
        'shard-0;Driver::run;weirgate_shard::shard::Shard::poll_transmit;weirgate_srtp::sealer::seal 3',
        'shard-0;Driver::run;weirgate_shard::shard::Shard::poll_transmit 1',
    ].join('\n');
    const found = shares(folded).filter(({ share }) => share > 0);
    assert.deepEqual(found, [
        { stage: 'kernel: send', share: 0.6 },
        { stage: 'seal', share: 0.3 },
        { stage: 'departure: number, write, copy', share: 0.1 },
    ]);
});

test('a flame graph runs nothing', () => {
    const svg = '<svg onload="init(evt)" a="1"><script type="x"><![CDATA[\nvar a;]]></script>' +
        '<text id="search" x="1">Search</text><text>kept</text></svg>';
    assert.equal(withoutScript(svg), '<svg a="1"><text>kept</text></svg>');
});

test('a train between two lengths is laid between them by trains per packet', () => {
    assert.deepEqual([lengths(9), lengths(8.95), lengths(1), lengths(0.99)], [[9, 9], [9, 9], [1, 1], [1, 1]]);
    assert.deepEqual(lengths(3.4), [3, 4]);
    assert.equal(between(9, 9, 9), 0);
    assert.equal(between(2, 2, 4), 0);
    assert.equal(between(4, 2, 4), 1);
    // 3/8 trains per packet is halfway from 1/2 to 1/4.
    assert.equal(between(8 / 3, 2, 4), 0.5);
});

test('trains are averaged by train', () => {
    assert.equal(trainsOf([{ length: 1, count: 2 }, { length: 9, count: 2 }]), 5);
    assert.equal(trainsOf([]), 0);
});

test('a busy machine is named', () => {
    const calm = { othersCores: 0.01, stolenCores: 0.01 };
    assert.equal(disturbance(calm), undefined);
    assert.match(disturbance({ ...calm, othersCores: 0.5 }), /^inconclusive: other programs used 50 %/);
    assert.match(disturbance({ ...calm, stolenCores: 0.2 }), /host took away 20 %/);
});

test('rows are taken by name, and all where none is named', () => {
    assert.deepEqual(readSettings(['audio', 'rooms', 'audio']).rows, ['audio', 'rooms']);
    assert.deepEqual(readSettings([]).rows, Object.keys(ROWS));
});

test('what is mistyped is refused by name, before anything is built or run', () => {
    for (const [words, told] of [
        [['--ruonds', '3'], '--ruonds'],
        [['--ruonds=3'], '--ruonds'],
        [['--rounds', '0'], '--rounds: 0'],
        [['--rounds', 'many'], '--rounds: many'],
        [['--rounds'], '--rounds'],
        [['--duration', '0.5'], '--duration: 0.5'],
        [['--update', '/none/there.md'], '--update: there is no'],
        [['--io', 'xpd'], '--io: xpd'],
        [['--server-core', '99'], '--server-core: 99'],
        [['vidio-plain'], 'vidio-plain is no row'],
    ]) {
        const { status, stderr } = spawnSync(LIMITS, words, { encoding: 'utf8' });
        assert.equal(status, 2, `${words}: ${stderr}`);
        assert.ok(stderr.includes(told), `${words}: ${stderr}`);
    }
});
