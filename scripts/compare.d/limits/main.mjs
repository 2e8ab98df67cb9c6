// Runs the rows; scripts/limits starts it inside a namespace.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { endWithThisProcess, pinThisProcess } from '../processes.mjs';
import { machine } from '../summary.mjs';
import { between, look } from './bystanders.mjs';
import { withResults, withStages } from './document.mjs';
import { disturbance, runEngine } from './engine.mjs';
import { floor } from './floor.mjs';
import { judgeOverload, overloadFigures, overloadText } from './overload.mjs';
import * as profile from './profile.mjs';
import { exitCode, judgeFloor, judgePair, stagesTable, table } from './report.mjs';
import { ROWS } from './rows.mjs';
import { readSettings } from './settings.mjs';

const PROGRAMS = ['weirgate-engine', 'weirgate-control', 'weirgate-loadgen', 'weirgate-floor'];

async function main() {
    const settings = readSettings(process.argv.slice(2));
    const missing = settings.profile && profile.missing();
    if (missing) throw new Error(missing);
    if (settings.check) return;
    const absent = PROGRAMS.find((name) => !existsSync(path.join(settings.binaries, name)));
    if (absent) throw new Error(`${settings.binaries} has no ${absent}: leave --no-build out`);
    pinThisProcess(settings.generatorCore);
    endWithThisProcess();
    if (settings.profile) return profileRows(settings);
    const results = [];
    for (const name of settings.rows) {
        const row = { name, ...ROWS[name] };
        results.push(await KINDS[row.kind](settings, row));
    }
    const about = machine(settings);
    process.stdout.write(table(settings, about, results));
    if (settings.json) {
        writeFileSync(settings.json, `${JSON.stringify({ machine: about, results }, undefined, 2)}\n`);
    }
    update(settings, (text) => withResults(text, results, settings.commit));
    process.exitCode = exitCode(results);
}

/** Says where the engine's time goes. */
async function profileRows(settings) {
    const byRow = {};
    for (const name of settings.rows) {
        const row = ROWS[name];
        const { stages, problem } = await runEngine(settings, name, row.first ?? row);
        process.stdout.write(stagesTable(name, stages ?? []));
        if (stages) byRow[name] = stages;
        if (problem) {
            tell(`${name}: ${problem}`);
            process.exitCode = 3;
        }
    }
    update(settings, (text) => withStages(text, byRow));
}

function update({ update: file }, change) {
    if (file) writeFileSync(file, change(readFileSync(file, 'utf8')));
}

async function againstFloor(settings, row) {
    const rounds = [];
    for (let round = 1; round <= settings.rounds; round += 1) {
        const engine = await runEngine(settings, `${row.name}-${round}`, row);
        tell(`${row.name} ${round}/${settings.rounds}: engine ${said(engine)}`);
        const base = engine.ns === undefined ? undefined : await runFloor(settings, row, engine);
        if (base) tell(`${row.name} ${round}/${settings.rounds}: floor ${said(base)}`);
        rounds.push({ engine, floor: base });
    }
    return judgeFloor(row, rounds);
}

/** Of the same packets as this run of the engine sent. */
async function runFloor(settings, row, engine) {
    const before = look();
    try {
        const base = await floor(settings, {
            receivers: row.receivers,
            groups: row.groups,
            perReceiver: engine.perSecond / row.receivers,
            bytes: engine.bytes,
            train: row.trains ?? engine.meanTrain,
            sockets: row.sockets,
            via: row.via,
        });
        const meanwhile = between(before, look(), new Set([process.pid]), settings.serverCore);
        return { ...base, problem: base.problem ?? disturbance(meanwhile) };
    } catch (error) {
        return { problem: String(error.stderr || error.message || error).trim() };
    }
}

async function overload(settings, row) {
    const rounds = [];
    for (let round = 1; round <= settings.rounds; round += 1) {
        const engine = await runEngine(settings, `${row.name}-${round}`, row);
        rounds.push({ engine });
        const came = engine.phases?.length > 2 ? overloadText(overloadFigures(engine.phases)) : '-';
        tell(`${row.name} ${round}/${settings.rounds}: ${came} ${engine.problem ?? ''}`);
    }
    return judgeOverload(row, rounds);
}

async function pair(settings, row) {
    const rounds = [];
    for (let round = 1; round <= settings.rounds; round += 1) {
        const both = {};
        for (const side of ['first', 'second']) {
            const { name, ...run } = row[side];
            both[side] = await runEngine(settings, `${row.name}-${name}-${round}`.replaceAll(' ', '-'), run);
            tell(`${row.name} ${round}/${settings.rounds}: ${name} ${said(both[side])}`);
        }
        rounds.push(both);
    }
    return judgePair(row, rounds);
}

const KINDS = { floor: againstFloor, pair, overload };

function said({ problem, ns, sealNs, meanTrain, train }) {
    if (ns === undefined) return problem;
    const seal = sealNs === undefined ? '' : ` + ${sealNs.toFixed(0)} to seal`;
    const trains = (meanTrain ?? train).toFixed(2);
    return `${ns.toFixed(0)} ns${seal}, trains of ${trains}${problem ? `, ${problem}` : ''}`;
}

function tell(line) {
    process.stderr.write(`${line}\n`);
}

main().catch((error) => {
    process.stderr.write(`limits: ${error.message}\n`);
    process.exitCode = 2;
});
