import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as sdp from '../sdp.mjs';

const OWN = { ufrag: 'abcd', password: 'secret-secret-secret-12', fingerprint: 'sha-256 AA:BB' };

const VIDEO = {
    mid: '1',
    codecs: [
        {
            mimeType: 'video/VP8', payloadType: 96, clockRate: 90000, parameters: {},
            rtcpFeedback: [{ type: 'nack', parameter: '' }, { type: 'nack', parameter: 'pli' }],
        },
        {
            mimeType: 'video/rtx', payloadType: 97, clockRate: 90000, parameters: { apt: 96 },
            rtcpFeedback: [],
        },
    ],
    headerExtensions: [{ uri: 'urn:ietf:params:rtp-hdrext:sdes:mid', id: 1 }],
    encodings: [{ ssrc: 4000000001, rtx: { ssrc: 4000000002 } }],
    rtcp: { cname: 'me' },
};

const AUDIO = {
    mid: '0',
    codecs: [
        {
            mimeType: 'audio/opus', payloadType: 111, clockRate: 48000, channels: 2,
            parameters: { minptime: 10 }, rtcpFeedback: [{ type: 'transport-cc', parameter: '' }],
        },
    ],
    headerExtensions: [],
    encodings: [{ ssrc: 7 }],
    rtcp: { cname: 'me' },
};

test('RTP parameters come through an offer unchanged', () => {
    const text = sdp.offer(OWN, 1, [
        { mid: '0', kind: 'audio', rtpParameters: AUDIO },
        { mid: '1', kind: 'video', rtpParameters: VIDEO },
    ]);
    const { session, media } = sdp.parse(text);
    assert.ok(session.includes('a=group:BUNDLE 0 1'));
    assert.deepEqual(sdp.rtpParameters(media[0]), { ...AUDIO, rtcp: {} });
    assert.deepEqual(sdp.rtpParameters(media[1]), { ...VIDEO, rtcp: {} });
    assert.equal(media[1].direction, 'sendonly');
});

test('an answer takes what was offered, with our own end', () => {
    const offered = sdp.parse(sdp.offer(OWN, 1, [{ mid: 'x', kind: 'video', rtpParameters: VIDEO }]));
    const text = sdp.answer({ ...OWN, ufrag: 'other' }, 3, offered);
    const { session, media } = sdp.parse(text);
    assert.ok(session.includes('o=- 1 3 IN IP4 127.0.0.1'));
    assert.deepEqual(media[0].payloads, ['96', '97']);
    assert.equal(media[0].direction, 'recvonly');
    assert.ok(media[0].lines.includes('a=ice-ufrag:other'));
    assert.ok(!text.includes('ssrc'));
});

test('ICE and DTLS parameters are found in the first section or before it', () => {
    const parsed = sdp.parse(
        [
            'v=0', 'a=ice-lite', 'a=fingerprint:sha-256 CC:DD',
            'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=mid:0', 'a=ice-ufrag:uuuu', 'a=ice-pwd:pppp',
            'a=candidate:1 1 udp 2015363327 192.0.2.7 41182 typ host', 'a=recvonly',
        ].join('\r\n'),
    );
    assert.deepEqual(sdp.transportParameters(parsed), {
        iceParameters: { usernameFragment: 'uuuu', password: 'pppp', iceLite: true },
        iceCandidates: [
            {
                foundation: '1', protocol: 'udp', priority: 2015363327, ip: '192.0.2.7',
                address: '192.0.2.7', port: 41182, type: 'host',
            },
        ],
        dtlsParameters: { role: 'auto', fingerprints: [{ algorithm: 'sha-256', value: 'CC:DD' }] },
    });
});
