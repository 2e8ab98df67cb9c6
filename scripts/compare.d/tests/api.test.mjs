import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ApiError, serve } from '../api.mjs';

async function withServer(adapter, use) {
    const server = await serve(adapter);
    try {
        await use(async (method, path, body) => {
            const options = { method, body: body && JSON.stringify(body) };
            const response = await fetch(server.url + path, options);
            const text = await response.text();
            return [response.status, text === '' ? undefined : JSON.parse(text)];
        });
    } finally {
        await server.close();
    }
}

test('calls reach the adapter with their id and body, and are answered as Weirgate does', async () => {
    const adapter = {
        pid: 7,
        createTransport: (id, body) => ({ id: `${id}-${body.type}` }),
        setPaused: async () => undefined,
    };
    await withServer(adapter, async (call) => {
        assert.deepEqual(await call('GET', '/v1/engine'), [200, { pid: 7 }]);
        const made = await call('POST', '/v1/routers/r1/transports', { type: 'webrtc' });
        assert.deepEqual(made, [201, { id: 'r1-webrtc' }]);
        assert.deepEqual(await call('POST', '/v1/consumers/c1/resume', {}), [204, undefined]);
    });
});

test('errors say what went wrong', async () => {
    const adapter = {
        closeRouter() {
            throw new ApiError(404, 'not_found', 'no such router');
        },
        createRouter() {
            throw new Error('the server died');
        },
    };
    await withServer(adapter, async (call) => {
        const [status, body] = await call('DELETE', '/v1/routers/x');
        assert.deepEqual([status, body.error.code], [404, 'not_found']);
        const [broken, answer] = await call('POST', '/v1/routers', {});
        assert.deepEqual([broken, answer.error.message], [500, 'the server died']);
        assert.equal((await call('GET', '/v1/rooms'))[0], 501);
    });
});
