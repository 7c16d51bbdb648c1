"""`lora serve` under load, beside the usual Python service: requests a second, their latency, memory, and time to the first answer.

    cut -f2 crates/lora-experiments/snippets/movies.tsv | tail -n 2000 > texts.txt
    python benches/serve_load.py --adapter runs/reviews --texts texts.txt --reference v/bin/python

`wrk` sends one text a request, another one each time, from as many connections as a row of the table says, each of which waits for its
answer. The servers run one after the other, both with the mean pass, and both must answer the same first: probabilities may differ by
the rounding of single precision. With `--soak SECONDS` only `lora serve` runs, for so long, and its memory is read every tenth of that.

Only Python's standard library is needed here.
"""

import argparse
import json
import pathlib
import re
import subprocess
import tempfile
import threading
import time
import urllib.request

SCRIPT = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local place = 0
request = function()
  place = place %% #bodies + 1
  return wrk.format("POST", "/predict", {["content-type"] = "application/json"}, bodies[place])
end
"""


def ask(port, body=None, path="/predict"):
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


class Server:
    """A server that runs, from its start to its end."""

    def __init__(self, command, port):
        self.port, self.process, begun = port, subprocess.Popen(command, stdout=subprocess.DEVNULL), time.monotonic()
        while True:
            try:
                ask(port, {"texts": ["a film"]})
                break
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(f"{command} ended")
                time.sleep(0.01)
        self.first_answer = time.monotonic() - begun

    def memory(self, line="VmRSS"):
        """In MB: of the process now, or with VmHWM at most so far."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{line}:\s+(\d+) kB", status)[1]) / 1000

    def end(self):
        self.process.terminate()
        return self.process.wait()


def load(port, script, connections, seconds):
    """Requests a second, median and 99th percentile in ms, requests, and answers other than 200."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script, f"http://127.0.0.1:{port}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    unit = {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}
    percentile = {share: float(number) * unit[of] for share, number, of in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s|m)", said)}
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    sockets = re.search(r"Socket errors: .*", said)
    if sockets:
        print(sockets[0])
    return (
        float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),
        percentile["50"],
        percentile["99"],
        int(re.search(r"(\d+) requests in", said)[1]),
        int(failed[1]) if failed else 0,
    )


def measure(name, server, script, arguments):
    load(server.port, script, 4, 3)
    for connections in arguments.connections:
        rate, median, last, _, failed = load(server.port, script, connections, arguments.seconds)
        print(f"| {name} | {connections} | {rate:.0f} | {median:.1f} | {last:.1f} | {failed} |", flush=True)
    memory = server.memory("VmHWM")
    code = server.end()
    print(f"{name}: first answer after {server.first_answer:.2f} s, {memory:.0f} MB at most, exit code {code}", flush=True)


def soak(server, script, arguments):
    before = server.memory()
    print(f"{before:.0f} MB before")
    done = threading.Event()

    def watch():
        while not done.wait(arguments.soak / 10):
            print(f"{server.memory():.1f} MB", flush=True)

    threading.Thread(target=watch, daemon=True).start()
    rate, _, last, requests, failed = load(server.port, script, arguments.connections[-1], arguments.soak)
    done.set()
    print(f"{requests} requests, {failed} not answered with 200, {rate:.0f} a second, 99 % within {last:.1f} ms")
    print(f"{server.memory():.1f} MB after, exit code {server.end()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--base", default="assets/minilm-l6", help="the base model's folder, for the reference")
    parser.add_argument("--texts", required=True, help="a text a line")
    parser.add_argument("--lora", default="target/release/lora")
    parser.add_argument("--flags", default="", help="further ones of lora serve")
    parser.add_argument("--reference", help="a Python with torch, transformers, peft, fastapi and uvicorn")
    parser.add_argument("--connections", type=lambda list: [int(number) for number in list.split(",")], default=[1, 4, 8, 16, 32])
    parser.add_argument("--seconds", type=int, default=10, help="of each row of the table")
    parser.add_argument("--soak", type=int)
    arguments = parser.parse_args()

    texts = [line.strip() for line in pathlib.Path(arguments.texts).read_text().splitlines() if line.strip()]
    folder = pathlib.Path(tempfile.mkdtemp())
    (folder / "bodies").write_text("".join(json.dumps({"texts": [text]}) + "\n" for text in texts))
    (folder / "script.lua").write_text(SCRIPT % (folder / "bodies"))
    script = str(folder / "script.lua")
    flags = ["--inference", "mean", "--quiet", "--port", "8001", *arguments.flags.split()]
    ours = [arguments.lora, "serve", arguments.adapter, *flags]
    if arguments.soak:
        return soak(Server(ours, 8001), script, arguments)
    print("| server | connections | requests/s | median ms | 99 % ms | failed |\n|---|---|---|---|---|---|")
    answers = {}
    servers = {"lora serve": ours}
    if arguments.reference:
        script_of = pathlib.Path(__file__).with_name("serve_reference.py")
        servers["FastAPI, PyTorch, PEFT"] = [arguments.reference, str(script_of), arguments.adapter, arguments.base]
    for name, command in servers.items():
        server = Server(command, 8001)
        rows = ask(8001, {"texts": texts[:50]})["predictions"]
        answers[name] = [value for row in rows for value in row["probabilities"].values()]
        measure(name, server, script, arguments)
    if len(answers) == 2:
        both = zip(*answers.values())
        print(f"probabilities differ by {max(abs(one - other) for one, other in both):.1e} at most")


if __name__ == "__main__":
    main()
