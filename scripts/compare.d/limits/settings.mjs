// What was asked for on the command line.

import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { coresOf } from '../settings.mjs';
import { ROWS } from './rows.mjs';

const BACK_ENDS = ['auto', 'uring', 'mmsg'];

/** Settings; an error names the flag or row that is wrong. */
export function readSettings(args) {
    const text = { type: 'string' };
    const { values, positionals } = parseArgs({
        args,
        allowPositionals: true,
        options: {
            rounds: { ...text, default: '3' }, duration: { ...text, default: '6' },
            io: { ...text, default: 'auto' }, json: text, logs: text, profile: text, update: text,
            'server-core': text, 'generator-core': text, binaries: text, commit: text,
            check: { type: 'boolean', default: false },
        },
    });
    const unknown = positionals.find((name) => !Object.hasOwn(ROWS, name));
    if (unknown !== undefined) {
        throw new Error(`${unknown} is no row; rows are ${Object.keys(ROWS).join(', ')}`);
    }
    if (!BACK_ENDS.includes(values.io)) {
        throw new Error(`--io: ${values.io} is none of ${BACK_ENDS.join(', ')}`);
    }
    return {
        rows: positionals.length > 0 ? [...new Set(positionals)] : Object.keys(ROWS),
        rounds: numberOf(values.rounds, 'rounds', 1, 100),
        durationS: numberOf(values.duration, 'duration', 1, 600),
        io: values.io,
        ...coresOf(values),
        json: values.json && path.resolve(values.json),
        logs: values.logs && path.resolve(values.logs),
        profile: values.profile && path.resolve(values.profile),
        update: values.update && documentOf(path.resolve(values.update)),
        binaries: values.binaries,
        commit: values.commit,
        check: values.check,
    };
}

function documentOf(file) {
    if (!existsSync(file)) throw new Error(`--update: there is no ${file}`);
    return file;
}

function numberOf(text, name, least, most) {
    const number = Number(text);
    if (!Number.isInteger(number) || number < least || number > most) {
        throw new Error(`--${name}: ${text} is not a number from ${least} to ${most}`);
    }
    return number;
}
