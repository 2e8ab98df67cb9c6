// A client of Janus' HTTP API (https://janus.conf.meetecho.com/docs/rest): one session, its
// handles, and the long poll on which what Janus says later comes.

const ANSWER_TIMEOUT_MS = 10_000;

export class JanusSession {
    #url;
    #awaited = new Map();
    #next = 0;
    #closed = false;
    #poll;

    /** Opens a session on the API at `base`, such as `http://127.0.0.1:8088/janus`. */
    static async open(base) {
        const session = new JanusSession();
        const created = await post(base, { janus: 'create', transaction: 'create' });
        session.#url = `${base}/${created.data.id}`;
        session.#poll = session.#listen();
        return session;
    }

    /** A handle on a plugin. */
    async attach(plugin) {
        const attached = await post(this.#url, {
            janus: 'attach', plugin, transaction: this.#transaction(),
        });
        return attached.data.id;
    }

    async detach(handle) {
        await post(`${this.#url}/${handle}`, { janus: 'detach', transaction: this.#transaction() });
    }

    /** Sends a request to a handle's plugin; the plugin's data and its session description. */
    async message(handle, body, jsep) {
        const transaction = this.#transaction();
        const later = this.#await(transaction, body.request);
        const message = { janus: 'message', transaction, body, ...(jsep ? { jsep } : {}) };
        let answer;
        try {
            answer = await post(`${this.#url}/${handle}`, message);
        } catch (error) {
            later.cancel();
            throw error;
        }
        // What the plugin does at once it also answers at once.
        if (answer.janus === 'ack') answer = await later.promise;
        else later.cancel();
        const data = answer.plugindata?.data ?? {};
        if (data.error) throw new Error(`Janus refuses ${body.request}: ${data.error}`);
        return { data, jsep: answer.jsep };
    }

    async close() {
        this.#closed = true;
        await post(this.#url, { janus: 'destroy', transaction: this.#transaction() }).catch(() => {});
        await this.#poll;
    }

    #transaction() {
        this.#next += 1;
        return `t${this.#next}`;
    }

    #await(transaction, what) {
        let cancel;
        const promise = new Promise((resolve, reject) => {
            const timer = setTimeout(() => {
                this.#awaited.delete(transaction);
                reject(new Error(`Janus did not answer ${what}`));
            }, ANSWER_TIMEOUT_MS);
            cancel = () => {
                clearTimeout(timer);
                this.#awaited.delete(transaction);
            };
            this.#awaited.set(transaction, (event) => {
                cancel();
                resolve(event);
            });
        });
        return { promise, cancel };
    }

    async #listen() {
        while (!this.#closed) {
            let events;
            try {
                events = await (await fetch(`${this.#url}?maxev=50`)).json();
            } catch {
                return;
            }
            for (const event of [events].flat()) this.#awaited.get(event.transaction)?.(event);
        }
    }
}

async function post(url, body) {
    const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
    const answer = await response.json();
    if (answer.janus === 'error') {
        throw new Error(`Janus refuses ${body.janus}: ${answer.error?.reason}`);
    }
    return answer;
}
