// Session descriptions (RFC 8866, RFC 8829) to and from the RTP parameters of the HTTP API, as far
// as one bundled connection of audio and video needs.

/**
 * An offer of media that the client sends. `own` is its `{ufrag, password, fingerprint}`; `media` is
 * `[{mid, kind, rtpParameters?}]`, opus that never comes where there are no parameters.
 */
export function offer(own, version, media) {
    const sections = media.map(({ mid, kind, rtpParameters }) =>
        rtpParameters ? sendingSection(own, mid, kind, rtpParameters) : silentSection(own, mid, kind),
    );
    return description(version, media.map(({ mid }) => mid), sections);
}

/** The client's answer that takes everything offered. */
export function answer(own, version, offered) {
    const sections = offered.media.map((section) => [
        `m=${section.kind} 9 ${section.protocol} ${section.payloads.join(' ')}`,
        ...connection(own, section.mid),
        `a=${section.direction === 'inactive' ? 'inactive' : 'recvonly'}`,
        ...section.lines.filter((line) => /^a=(rtpmap|fmtp|rtcp-fb|extmap):/.test(line)),
    ]);
    return description(version, offered.media.map(({ mid }) => mid), sections);
}

/** The sections of a description, and the values of attributes that stand before them. */
export function parse(text) {
    const session = [];
    const media = [];
    for (const line of text.split(/\r?\n/).filter(Boolean)) {
        if (line.startsWith('m=')) {
            const [kind, port, protocol, ...payloads] = line.slice(2).split(' ');
            media.push({ kind, port: Number(port), protocol, payloads, lines: [] });
        } else {
            (media.at(-1)?.lines ?? session).push(line);
        }
    }
    for (const section of media) {
        section.mid = value(section.lines, 'mid');
        section.direction =
            ['sendrecv', 'sendonly', 'recvonly', 'inactive'].find((word) =>
                section.lines.includes(`a=${word}`),
            ) ?? 'sendrecv';
    }
    return { session, media };
}

/** ICE and DTLS parameters of the side that wrote the description, as the API has them. */
export function transportParameters(parsed) {
    const lines = [...(parsed.media[0]?.lines ?? []), ...parsed.session];
    const [algorithm, fingerprint] = value(lines, 'fingerprint').split(' ');
    const iceCandidates = values(lines, 'candidate').map((text) => {
        const [foundation, , protocol, priority, ip, port, , type] = text.split(' ');
        return {
            foundation, protocol: protocol.toLowerCase(), priority: Number(priority),
            ip, address: ip, port: Number(port), type,
        };
    });
    return {
        iceParameters: {
            usernameFragment: value(lines, 'ice-ufrag'),
            password: value(lines, 'ice-pwd'),
            iceLite: parsed.session.includes('a=ice-lite'),
        },
        iceCandidates,
        dtlsParameters: { role: 'auto', fingerprints: [{ algorithm, value: fingerprint }] },
    };
}

/** RTP parameters of what a section says is sent. */
export function rtpParameters(section) {
    const codecs = section.payloads.map((payload) => codec(section, Number(payload)));
    const headerExtensions = values(section.lines, 'extmap').map((text) => {
        const [id, uri] = text.split(' ');
        return { uri, id: Number.parseInt(id, 10) };
    });
    const ssrcs = values(section.lines, 'ssrc').map((text) => Number(text.split(' ')[0]));
    const pair = values(section.lines, 'ssrc-group').find((text) => text.startsWith('FID '));
    const [ssrc, rtx] = pair ? pair.split(' ').slice(1).map(Number) : [ssrcs[0]];
    return {
        mid: section.mid,
        codecs,
        headerExtensions,
        encodings: [{ ssrc, ...(rtx ? { rtx: { ssrc: rtx } } : {}) }],
        rtcp: {},
    };
}

function description(version, mids, sections) {
    const lines = [
        'v=0',
        `o=- 1 ${version} IN IP4 127.0.0.1`,
        's=-',
        't=0 0',
        `a=group:BUNDLE ${mids.join(' ')}`,
        ...sections.flat(),
    ];
    return `${lines.join('\r\n')}\r\n`;
}

function sendingSection(own, mid, kind, parameters) {
    const payloads = parameters.codecs.map(({ payloadType }) => payloadType);
    const cname = parameters.rtcp?.cname ?? 'client';
    return [
        `m=${kind} 9 UDP/TLS/RTP/SAVPF ${payloads.join(' ')}`,
        ...connection(own, mid),
        'a=sendonly',
        ...parameters.codecs.flatMap(codecLines),
        ...(parameters.headerExtensions ?? []).map(({ id, uri }) => `a=extmap:${id} ${uri}`),
        ...parameters.encodings.flatMap(({ ssrc, rtx }) => [
            ...(rtx ? [`a=ssrc-group:FID ${ssrc} ${rtx.ssrc}`] : []),
            `a=ssrc:${ssrc} cname:${cname}`,
            ...(rtx ? [`a=ssrc:${rtx.ssrc} cname:${cname}`] : []),
        ]),
    ];
}

function silentSection(own, mid, kind) {
    return [
        `m=${kind} 9 UDP/TLS/RTP/SAVPF 111`,
        ...connection(own, mid),
        'a=sendonly',
        'a=rtpmap:111 opus/48000/2',
    ];
}

function connection(own, mid) {
    return [
        'c=IN IP4 0.0.0.0',
        `a=mid:${mid}`,
        `a=ice-ufrag:${own.ufrag}`,
        `a=ice-pwd:${own.password}`,
        `a=fingerprint:${own.fingerprint}`,
        'a=setup:active',
        'a=rtcp-mux',
    ];
}

function codecLines({ mimeType, payloadType, clockRate, channels, parameters, rtcpFeedback }) {
    const name = mimeType.split('/')[1];
    const format = Object.entries(parameters ?? {}).map(([key, given]) => `${key}=${given}`);
    return [
        `a=rtpmap:${payloadType} ${name}/${clockRate}${channels > 1 ? `/${channels}` : ''}`,
        ...(format.length > 0 ? [`a=fmtp:${payloadType} ${format.join(';')}`] : []),
        ...(rtcpFeedback ?? []).map(({ type, parameter }) =>
            `a=rtcp-fb:${payloadType} ${type} ${parameter ?? ''}`.trimEnd(),
        ),
    ];
}

function codec({ kind, lines }, payloadType) {
    const own = (name) =>
        values(lines, name)
            .filter((text) => text.startsWith(`${payloadType} `))
            .map((text) => text.slice(text.indexOf(' ') + 1));
    const [name, clockRate, channels] = (own('rtpmap')[0] ?? '/90000').split('/');
    const parameters = (own('fmtp')[0] ?? '')
        .split(';')
        .filter(Boolean)
        .map((pair) => pair.trim().split('='))
        .map(([key, given]) => [key, /^\d+$/.test(given) ? Number(given) : given]);
    const rtcpFeedback = own('rtcp-fb').map((text) => {
        const [type, ...rest] = text.split(' ');
        return { type, parameter: rest.join(' ') };
    });
    return {
        mimeType: `${kind}/${name}`,
        payloadType,
        clockRate: Number(clockRate),
        ...(channels ? { channels: Number(channels) } : {}),
        parameters: Object.fromEntries(parameters),
        rtcpFeedback,
    };
}

function values(lines, name) {
    const prefix = `a=${name}:`;
    return lines.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length));
}

function value(lines, name) {
    return values(lines, name)[0] ?? '';
}
