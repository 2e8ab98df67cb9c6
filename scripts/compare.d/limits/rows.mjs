// What is measured: the traffic, what it is held against, and the target.

const GCM = 'AEAD_AES_128_GCM';
const SHA1 = 'AES_CM_128_HMAC_SHA1_80';

/** 9 packets of about 1150 payload bytes a frame, 30 frames a second. */
const FRAMES_OF_9 = ['--video', '2480k', '--burst', 'frame', '--key-frames', '0'];
/** Likewise with 4 packets. */
const FRAMES_OF_4 = ['--video', '1100k', '--burst', 'frame', '--key-frames', '0'];

const plain = (suite = GCM) => ['--transport', 'plain', '--srtp', suite, '--settle', '1s'];
/** What a path carries is not known at first, and trains grow with that. */
const WEBRTC = ['--srtp', GCM, '--settle', '8s'];

/** Those who send begin 3.3 ms apart, as people are not in step. */
const APART = ['--ramp', '300'];

const ROOMS = [
    'rooms', '--rooms', '5', '--participants', '4', '--viewers', '10', ...FRAMES_OF_4, ...APART,
];
const AUDIO = ['audio', '--speakers', '6', '--listeners', '300', ...APART];
const livestream = (receivers) => ['livestream', '--receivers', String(receivers), ...FRAMES_OF_9];

/** What a core can just carry, then about three times that. */
const RISE_AND_OVERLOAD = '31%:4s,37%:4s,100%:10s';

/**
 * What a core can carry is more than one can read: 19 of 20 receivers are sockets that nobody reads, and
 * the kernel counts what comes to them. The load is too high three times, and then ordinary.
 */
const MEETING = [
    'meeting', '--participants', '27', '--unread', '19', '--video', '1280k', '--fps', '160',
    '--burst', 'frame', '--audio', '--audio-share', '10%', '--transport', 'plain', '--srtp', GCM,
    '--load', [RISE_AND_OVERLOAD, RISE_AND_OVERLOAD, RISE_AND_OVERLOAD, '13%:5s'].join(','),
];

/**
 * By name. `kind` is `floor`, the engine against `weirgate-floor`: `trains` is the length the floor
 * sends where that is not the one the engine reached; or `pair`, the engine run in two ways, of which
 * the `first` is measured in multiples of the `second`; or `overload`: a load that rises, is by `times`
 * too high, several times, and falls.
 */
export const ROWS = {
    'video-plain': {
        kind: 'floor', title: 'video, 1→200 plain, frames of 9', target: 1.3,
        scenario: [...livestream(200), ...plain()], receivers: 200, sockets: 'plain', trains: 9,
        delay: { p50Ms: 2, p99Ms: 5 },
    },
    'video-webrtc': {
        kind: 'floor', title: 'video, 1→200 WebRTC', target: 1.3,
        scenario: [...livestream(200), ...WEBRTC], receivers: 200, sockets: 'media',
    },
    rooms: {
        kind: 'floor', title: 'video, 5 rooms of 4 × 10, frames of 4, plain', target: 1.3,
        scenario: [...ROOMS, ...plain()], receivers: 70, groups: 5, sockets: 'plain',
    },
    'rooms-webrtc': {
        kind: 'floor', title: 'video, 5 rooms of 4 × 10, frames of 4, WebRTC', target: 1.3,
        scenario: [...ROOMS, ...WEBRTC], receivers: 70, groups: 5, sockets: 'media',
    },
    audio: {
        kind: 'floor', title: 'audio, 6→300 plain', target: 1.15,
        scenario: [...AUDIO, ...plain()], receivers: 306, sockets: 'plain',
    },
    'audio-webrtc': {
        kind: 'floor', title: 'audio, 6→300 WebRTC', target: 1.15,
        scenario: [...AUDIO, ...WEBRTC], receivers: 306, sockets: 'media',
    },
    'audio-xdp': {
        kind: 'floor', title: 'audio, 6→300 WebRTC, AF_XDP over veth', target: 1.3,
        scenario: [...AUDIO, ...WEBRTC], receivers: 306, sockets: 'media', via: 'xdp',
    },
    overload: {
        kind: 'overload', title: '3 × overload, singles to plain receivers',
        scenario: MEETING, times: 2.9,
        targets: { goodput: 0.95, audioLoss: 0.001, p99Ms: 100, normalAfterMs: 1000 },
    },
    shards: {
        kind: 'pair', title: 'one room over two shards, of one', target: 1.1,
        first: { name: 'two shards', shards: 2, scenario: [...livestream(40), ...plain()] },
        second: { name: 'one shard', shards: 1, scenario: [...livestream(40), ...plain()] },
    },
    sha1: {
        kind: 'pair', title: `${SHA1}, 1→200, of ${GCM}`, target: 1.6,
        first: { name: SHA1, scenario: [...livestream(200), ...plain(SHA1)] },
        second: { name: GCM, scenario: [...livestream(200), ...plain()] },
    },
    'sha1-16': {
        kind: 'pair', title: `${SHA1}, 1→16, of ${GCM}`, target: 1.6,
        first: { name: SHA1, scenario: [...livestream(16), ...plain(SHA1)] },
        second: { name: GCM, scenario: [...livestream(16), ...plain()] },
    },
};
