// A run of its own over a directory that is written here: two buses, of which one can be paused. It listens on all addresses, with a
// token.

import { spawn } from "node:child_process";
import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";

const EVERY_MS = 200;

export class Town {
  static async start(program, folder, port) {
    return Object.assign(new Town(), { program, folder, port, paused: false }).begin();
  }

  begin() {
    this.origin = `http://127.0.0.1:${this.port}`;
    this.token = "a token that no one would guess".replaceAll(" ", "-");
    for (const topic of ["vehicle", "gps", "traffic", "weather", "emergency"]) this.append(topic, 0, '{"topic_id": "00000000000000000000000000000001"}');
    this.append("gps", 1, '{"topic_id": "00000000000000000000000000000001"}');
    this.spawn("run");
    this.timer = setInterval(() => this.deliver(), EVERY_MS);
    return this;
  }

  spawn(...command) {
    const flags = [...command, "--source", `dir:${join(this.folder, "log")}`, "--lake", join(this.folder, "lake"), "--live", "on"];
    const env = { ...process.env, CITYSTREAM_TOKEN: this.token };
    this.run = spawn(this.program, [...flags, "--listen", `0.0.0.0:${this.port}`, "--epoch", "100ms"], { env, stdio: "ignore" });
    this.gone = new Promise((done) => this.run.on("exit", done));
  }

  /** Ends the run; the buses go on to report. */
  async end() {
    this.run.kill("SIGTERM");
    await this.gone;
  }

  append(topic, partition, line) {
    const at = join(this.folder, "log", `${topic}_data`);
    mkdirSync(at, { recursive: true });
    appendFileSync(join(at, `${partition}.jsonl`), `${line}\n`);
  }

  deliver() {
    const ts = Date.now();
    for (const partition of this.paused ? [0] : [0, 1]) {
      const coordinates = `${51.5 + partition / 100},${-0.1 + (ts % 60000) / 1e6}`;
      const value = { id: `${partition}-${ts}`, deviceId: `bus-${partition}`, timestamp: new Date(ts).toISOString(), coordinates, speed: 30 };
      this.append("gps", partition, JSON.stringify({ ts, key: null, value }));
    }
  }

  get(path, headers) {
    return fetch(this.origin + path, { headers }).catch(() => ({ status: 0 }));
  }

  async stop() {
    clearInterval(this.timer);
    await this.end();
  }
}
