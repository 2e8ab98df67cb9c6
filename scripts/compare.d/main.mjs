// Runs the comparison; scripts/compare starts it inside a namespace.

import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { play, problemOf, UsageError } from './generator.mjs';
import { endWithThisProcess, memoryBytes, pinThisProcess } from './processes.mjs';
import { readSettings } from './settings.mjs';
import { figuresOf, machine, summarize, table } from './summary.mjs';

const MEMORY_INTERVAL_MS = 200;

async function main() {
    const settings = await readSettings(process.argv.slice(2));
    pinThisProcess(settings.generatorCore);
    endWithThisProcess();
    const runs = [];
    for (let round = 1; round <= settings.rounds; round += 1) {
        for (const server of settings.servers) {
            const run = await oneRun(settings, server, round);
            runs.push(run);
            const { cpuUsPerPacket, p50Ms, p99Ms } = run.figures ?? {};
            process.stderr.write(
                `round ${round}/${settings.rounds} ${server.name}: ${
                    run.problem ?? `${cpuUsPerPacket?.toFixed(2) ?? '-'} us per packet, ` +
                    `p50 ${p50Ms?.toFixed(2)} ms, p99 ${p99Ms?.toFixed(2)} ms`
                }\n`,
            );
        }
    }
    const about = machine(settings);
    const summary = summarize(settings.servers, runs);
    process.stdout.write(table(settings, about, summary, runs));
    if (settings.json) {
        const scenario = settings.scenario.join(' ');
        const all = { scenario, machine: about, servers: summary, runs };
        writeFileSync(settings.json, `${JSON.stringify(all, undefined, 2)}\n`);
    }
    if (!runs.some((run) => run.figures)) process.exitCode = 2;
    else if (runs.some((run) => run.problem)) process.exitCode = 1;
}

/** Starts a server, plays the scenario, ends the server. */
async function oneRun(settings, server, round) {
    const name = `${server.name.replace('/', '-')}-${round}`;
    const folder = settings.logs
        ? path.join(settings.logs, name)
        : mkdtempSync(path.join(os.tmpdir(), 'weirgate-compare-'));
    mkdirSync(folder, { recursive: true });
    const run = { server: server.name, round };
    let running;
    try {
        running = await server.start({
            core: settings.serverCore, ip: settings.ip, folder, binaries: settings.binaries,
            variant: server.variant,
        });
        const generator = {
            binaries: settings.binaries, url: running.url, pids: running.pids, folder,
        };
        const idleBytes = memoryBytes(running.pids);
        let peakBytes = idleBytes;
        const watch = setInterval(() => {
            peakBytes = Math.max(peakBytes, memoryBytes(running.pids));
        }, MEMORY_INTERVAL_MS);
        try {
            run.outcome = await play(generator, settings.scenario);
        } finally {
            clearInterval(watch);
        }
        if (settings.capacity) {
            run.capacity = await play(generator, ['--find-capacity', ...settings.scenario]);
        }
        run.figures = figuresOf(run.outcome, { idleBytes, peakBytes, capacity: run.capacity });
        run.problem = problemOf(run.outcome);
    } catch (error) {
        if (error instanceof UsageError) throw error;
        run.problem = String(error.message ?? error);
    } finally {
        await running?.close();
        if (!settings.logs) rmSync(folder, { recursive: true, force: true });
    }
    if (run.problem) delete run.figures;
    return run;
}

main().catch((error) => {
    process.stderr.write(`compare: ${error.message}\n`);
    process.exitCode = 2;
});
