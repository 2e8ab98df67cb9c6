// The figures in a document such as docs/PERFORMANCE.md.

/** The text with the lines of these results in place of the ones it has for their rows. */
export function withResults(text, results, commit) {
    for (const line of results.flatMap((result) => documentLines(result, commit))) {
        const start = line.slice(0, line.indexOf('|', 1) + 1);
        const at = text.split('\n').findIndex((old) => old.startsWith(start));
        if (at < 0) throw new Error(`the document has no line that begins with ${start}`);
        const lines = text.split('\n');
        lines[at] = line;
        text = lines.join('\n');
    }
    return text;
}

/** The text with the shares of stages in place of the ones it has: by row, as `profile.shares`. */
export function withStages(text, byRow) {
    const begin = '<!-- stages -->\n';
    const end = '<!-- /stages -->';
    const from = text.indexOf(begin);
    const to = text.indexOf(end);
    if (from < 0 || to < from) throw new Error(`the document has no ${begin.trim()} and ${end}`);
    const names = Object.keys(byRow);
    const [first] = Object.values(byRow);
    const lines = [
        `| share of the shard's time, % | ${names.map((name) => `\`${name}\``).join(' | ')} |`,
        `|---|${'---|'.repeat(names.length)}`,
        ...first.map(({ stage }, at) => {
            const shares = names.map((name) => (byRow[name][at].share * 100).toFixed(1));
            return `| ${stage} | ${shares.join(' | ')} |`;
        }),
    ];
    return `${text.slice(0, from + begin.length)}${lines.join('\n')}\n${text.slice(to)}`;
}

/** Lengths of trains that are shown together, up to and with these. */
const TRAIN_CLASSES = [1, 2, 3, 5, 8, 9, 16, Infinity];

/** Shares of the packets by the length of their train. */
function trainLine({ name, trainCounts }) {
    const packets = (from, to) => trainCounts
        .filter(({ length }) => length > from && length <= to)
        .reduce((sum, { length, count }) => sum + length * count, 0);
    const all = packets(0, Infinity);
    const shares = TRAIN_CLASSES.map((to, at) => packets(TRAIN_CLASSES[at - 1] ?? 0, to) / all);
    const cells = shares.map((share) => (share > 0 ? (share * 100).toFixed(1) : ''));
    return `| trains of \`${name}\` | ${cells.join(' | ')} |`;
}

/** One line, another for the delay where that was looked at, and one for the trains. */
function documentLines(result, commit) {
    const line = (name, work, cells) => `| ${[`\`${name}\``, work, ...cells, commit].join(' | ')} |`;
    const ns = (value) => (value === undefined ? '–' : `${Math.round(value).toLocaleString('en')} ns`);
    const times = (value) => value?.toFixed(2) ?? '–';
    const { name, title, ratio, least, most, target, delay } = result;
    if (result.targets) {
        return [line(name, title, [result.figures ?? '–', '', result.targets, result.verdict])];
    }
    const train = (length) => length?.toFixed(1) ?? '–';
    const lines = [line(name, title, [
        `${ns(result.engineNs)}, trains of ${train(result.meanTrain)}`,
        `${ns(result.baseNs)} (${result.baseName}, ${train(result.floorTrain)})`,
        `**${times(ratio)}** (${times(least)}–${times(most)}), at most ${target}`,
        result.verdict,
    ])];
    if (delay) {
        const ms = (value) => `${value?.toFixed(1) ?? '–'} ms`;
        lines.push(line('delay', 'delay at 54,000 packets/s, p50 / p99', [
            `${ms(delay.p50Ms)} / ${ms(delay.p99Ms)}`,
            `(the generator's own: ${ms(delay.latenessP50Ms)} / ${ms(delay.latenessP99Ms)})`,
            `at most ${delay.target.p50Ms} / ${delay.target.p99Ms} ms`,
            delay.verdict,
        ]));
    }
    if (result.trainCounts?.length > 0) lines.push(trainLine(result));
    return lines;
}
