"""A small sweep on a HyperQueue cluster of two workers, one of which is killed, gives the results of a single process, trial by trial.

    python xtask/sweep_cluster.py --lora target/release/lora

shards   four parts as tasks of one job; one is killed while it trains, and submitted again
workers  two tasks that share a folder (--shared); one is killed while it trains, and the other takes over what it had
The cluster is hyperqueue.LocalCluster: its workers are threads, so what is killed is the process that a worker runs.
Without the package `hyperqueue` it is skipped, and says so. Ends with "N passed, 0 failed, M skipped" and exit code 0.
"""
import argparse, csv, glob, importlib.util, json, os, signal, subprocess, sys, tempfile, time
import outcomes

parser = argparse.ArgumentParser()
parser.add_argument("--lora", required=True, help="the lora program")
arguments = parser.parse_args()
LORA = os.path.abspath(arguments.lora)
PATIENCE = 600  # seconds

SWEEP = """\
base: {model_name_or_path: minilm-l6, max_seq_length: 24, learning_rate: 2e-3, num_train_epochs: 4, per_device_train_batch_size: 8}
tasks:
  - {name: films, data: {train_file: train.csv, test_file: test.csv}, rows: [48]}
methods:
  - {name: LoRA, predictions: [mean, {deep_ensemble: {members: 2}}]}
  - {name: LoRA Dropout, train: {mask_rescale: rescaled}, grid: {mask_probability: [0.3, 0.5]}, predictions: [mean, {ensemble: {members: 4}}]}
seeds: [1, 2]
validation_rows: 16
"""

def write_rows(path, count, thing):
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = [(f"number {row}: a {('gripping', 'dull')[row % 2]} {thing}", ("good", "bad")[row % 2]) for row in range(count)]
        csv.writer(file).writerows([("text", "label"), *rows])

def trials(pattern):
    """The trials of results files by key, without what a clock says. The same trial from two places must be the same."""
    found = {}
    for path in sorted(glob.glob(pattern)):
        for line in open(path, encoding="utf-8"):
            # A killed process may have left half a line.
            trial = json.loads(line).get("cell") if line.endswith("\n") else None
            if trial:
                done = trial["outcome"]["done"]
                for clock in ("training_seconds", "predicting_seconds", "peak_memory"):
                    del done[clock]
                assert found.setdefault(trial["key"], trial) == trial, f"{trial['key']} differs in {path}"
    return found

def wait_for(what, condition):
    """Asks until it is so."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {PATIENCE} s for {what}"
        time.sleep(0.02)
    return value

def submit(client, folder, commands):
    """Each command as a task that first writes the id of its process."""
    from hyperqueue import Job
    job = Job(default_workdir=folder, max_fails=None)
    for name, words in commands.items():
        job.program(["sh", "-c", 'echo $$ > "$0.part" && mv "$0.part" "$0" && exec "$@"', f"{name}.pid", LORA, *words])
    return client.submit(job)

def kill(path):
    """The process whose id stands in the file."""
    os.kill(int(open(path).read()), signal.SIGKILL)

def finish(client, job):
    """Waits for the tasks; how many failed."""
    if client.wait_for_jobs([job], raise_on_error=False):
        return 0
    return len(client.get_failed_tasks(job))

def shards(client, folder, expected):
    count = 4
    commands = {f"shard-{index}": ["sweep", "--config", "sweep.yaml", "--shard", f"{index}/{count}", "--output", f"shards/{index}.results.jsonl"]
                for index in range(1, count + 1)}
    victim = "shard-1"
    job = submit(client, folder, commands)
    # Its file is there from before the first step on, and has a trial only after the last one.
    wait_for("the first shard", lambda: os.path.exists(f"{folder}/shards/1.results.jsonl"))
    kill(f"{folder}/{victim}.pid")
    failed = finish(client, job)
    assert failed == 1, f"{failed} tasks failed, and one was killed"
    left = len(expected) - len(trials(f"{folder}/shards/*.results.jsonl"))
    assert left > 0, "the killed shard was finished"
    assert finish(client, submit(client, folder, {victim: commands[victim]})) == 0
    assert trials(f"{folder}/shards/*.results.jsonl") == expected
    return f"{len(expected)} trials; {left} were left when a task was killed"

def workers(client, folder, expected):
    words = ["sweep", "--config", "sweep.yaml", "--shared", "shared", "--claim-expires", "3"]
    job = submit(client, folder, {"first": words, "second": words})
    owner = lambda path: json.load(open(path))["worker"]
    claims = lambda: {owner(path) for path in glob.glob(f"{folder}/shared/claims/*.json")}
    wait_for("two workers with a claim each", lambda: len(claims()) == 2)
    kill(f"{folder}/first.pid")
    failed = finish(client, job)
    assert failed == 1, f"{failed} tasks failed, and one was killed"
    taken_over = len(glob.glob(f"{folder}/shared/claims/*.2.json"))
    assert taken_over > 0, "nothing was taken over"
    assert trials(f"{folder}/shared/*.results.jsonl") == expected
    return f"{len(expected)} trials; {taken_over} units of the killed worker were taken over"

CHECKS = {"shards": (["hyperqueue==0.27.0"], shards), "workers": (["hyperqueue==0.27.0"], workers)}
if importlib.util.find_spec("hyperqueue") is None:
    sys.exit(outcomes.report(CHECKS))
from hyperqueue import LocalCluster
from hyperqueue.cluster import WorkerConfig

with tempfile.TemporaryDirectory() as folder, LocalCluster() as cluster:
    for _ in range(2):
        cluster.start_worker(WorkerConfig(cores=1))
    write_rows(f"{folder}/train.csv", 80, "film")
    write_rows(f"{folder}/test.csv", 24, "play")
    with open(f"{folder}/sweep.yaml", "w", encoding="utf-8") as file:
        file.write(SWEEP)
    subprocess.run([LORA, "sweep", "--config", "sweep.yaml", "--output", "one.jsonl", "--quiet"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    sys.exit(outcomes.report(CHECKS, cluster.client(), folder, trials(f"{folder}/one.jsonl")))
