// The part of Weirgate's HTTP API that weirgate-loadgen uses, in front of another server, so that
// the generator plays the same scenario to it. No media passes here.

import http from 'node:http';

/** What an adapter throws where its server can not do what was asked. */
export class ApiError extends Error {
    constructor(status, code, message) {
        super(message);
        Object.assign(this, { status, code });
    }
}

/**
 * Serves `adapter` on a port of the loopback address.
 *
 * @param {object} adapter has `pid`, `createRouter(body)`, `closeRouter(id)`,
 *     `createTransport(router, body)`, `connect(transport, body)`, `closeTransport(transport)`,
 *     `produce(transport, body)`, `consume(transport, body)`, `setPaused(consumer, paused)` and
 *     `requestKeyFrame(consumer)`; each may be asynchronous
 * @returns {Promise<{url: string, close: () => Promise<void>}>}
 */
export async function serve(adapter) {
    const server = http.createServer((request, response) => {
        handle(adapter, request)
            .catch((error) => [
                error.status ?? 500,
                { error: { code: error.code ?? 'internal', message: String(error.message ?? error) } },
            ])
            .then(([status, body]) => {
                response.writeHead(status, { 'content-type': 'application/json' });
                response.end(body === undefined ? '' : JSON.stringify(body));
            });
    });
    server.keepAliveTimeout = 120_000;
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return {
        url: `http://127.0.0.1:${server.address().port}`,
        close: () =>
            new Promise((resolve) => {
                server.close(resolve);
                server.closeAllConnections();
            }),
    };
}

async function handle(adapter, request) {
    const path = new URL(request.url, 'http://localhost').pathname;
    for (const [method, pattern, status, call] of routes) {
        const match = method === request.method && pattern.exec(path);
        if (!match) continue;
        const answer = await call(adapter, await readJson(request), match[1]);
        return answer === undefined ? [204] : [status, answer];
    }
    throw new ApiError(501, 'unsupported', `this server's adapter has no ${request.method} ${path}`);
}

const routes = [
    ['GET', /^\/(?:livez|readyz)$/, 200, async () => ({})],
    ['GET', /^\/v1\/engine$/, 200, async (adapter) => ({ pid: adapter.pid })],
    ['POST', /^\/v1\/routers$/, 201, (adapter, body) => adapter.createRouter(body)],
    ['DELETE', /^\/v1\/routers\/([^/]+)$/, 204, (adapter, _, id) => adapter.closeRouter(id)],
    ['POST', /^\/v1\/routers\/([^/]+)\/transports$/, 201,
        (adapter, body, id) => adapter.createTransport(id, body)],
    ['POST', /^\/v1\/transports\/([^/]+)\/connect$/, 200,
        (adapter, body, id) => adapter.connect(id, body)],
    ['DELETE', /^\/v1\/transports\/([^/]+)$/, 204, (adapter, _, id) => adapter.closeTransport(id)],
    ['POST', /^\/v1\/transports\/([^/]+)\/producers$/, 201,
        (adapter, body, id) => adapter.produce(id, body)],
    ['POST', /^\/v1\/transports\/([^/]+)\/consumers$/, 201,
        (adapter, body, id) => adapter.consume(id, body)],
    ['POST', /^\/v1\/consumers\/([^/]+)\/resume$/, 204,
        (adapter, _, id) => adapter.setPaused(id, false)],
    ['POST', /^\/v1\/consumers\/([^/]+)\/pause$/, 204,
        (adapter, _, id) => adapter.setPaused(id, true)],
    ['POST', /^\/v1\/consumers\/([^/]+)\/request-key-frame$/, 204,
        (adapter, _, id) => adapter.requestKeyFrame(id)],
];

async function readJson(request) {
    let text = '';
    for await (const chunk of request) text += chunk;
    return text === '' ? {} : JSON.parse(text);
}
