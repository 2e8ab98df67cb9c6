// The real thing, short: it needs the release build, and rights to make a network namespace.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import * as janus from '../servers/janus.mjs';

const COMPARE = fileURLToPath(new URL('../../compare', import.meta.url));

/** Plays a short stream to a server and answers what came of it. */
function play(server) {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'weirgate-compare-test-'));
    try {
        const file = path.join(folder, 'all.json');
        const { status, stderr } = spawnSync(
            COMPARE,
            ['--no-build', '--servers', server, '--rounds', '1', '--json', file,
                'livestream', '--receivers', '3', '--video', '500k', '--audio', '--duration', '3s'],
            { encoding: 'utf8', timeout: 90_000 },
        );
        // 1 and 2 are runs that count for nothing, as they are on a busy machine.
        assert.ok([0, 1, 2].includes(status), `exit code ${status}: ${stderr}`);
        const { runs } = JSON.parse(readFileSync(file, 'utf8'));
        assert.ok(runs[0].outcome, `${runs[0].problem}`);
        return runs[0].outcome;
    } finally {
        rmSync(folder, { recursive: true, force: true });
    }
}

function checkOutcome({ participants, totals, cpu, ending }) {
    assert.deepEqual(ending, { how: 'completed' });
    assert.equal(participants.failed, 0);
    assert.deepEqual([totals.flows, totals.silentFlows, totals.corrupt], [6, 0, 0]);
    assert.ok(totals.received > 500, `${totals.received} packets`);
    assert.ok(cpu.usPerPacket > 0);
}

test('Weirgate is measured', () => checkOutcome(play('weirgate')));

test('Janus is measured', { skip: janus.missing() }, () => checkOutcome(play('janus')));
