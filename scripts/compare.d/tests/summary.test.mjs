import assert from 'node:assert/strict';
import { test } from 'node:test';

import { median, summarize } from '../summary.mjs';

test('the median leaves out what was not measured', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 3, 2]), 2.5);
    assert.equal(median([undefined, 5, NaN]), 5);
    assert.equal(median([]), undefined);
});

test('ratios are to the first server, of good runs alone', () => {
    const run = (server, cpuUsPerPacket) => ({ server, figures: { cpuUsPerPacket } });
    const runs = [
        run('a', 1), run('b', 10), run('a', 2), run('b', 30), run('a', 3),
        { server: 'b', problem: 'inconclusive' },
    ];
    const [a, b] = summarize([{ name: 'a' }, { name: 'b' }], runs);
    assert.equal(a.medians.cpuUsPerPacket, 2);
    assert.deepEqual([b.goodRuns, b.medians.cpuUsPerPacket, b.ratios.cpuUsPerPacket], [2, 20, 10]);
    assert.equal(b.ratios.p50Ms, undefined);
});
