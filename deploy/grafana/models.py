"""The dashboard *Models and Triton*: are the numbers right, and is there room for more?"""

from panels import HERE, RATE, Board, Row, lines, number, quantiles

# Triton's metrics have its own labels; its targets carry `cluster` and `group` like every other.
_SUCCESS = f"rate(nv_inference_request_success{{{HERE}}}{RATE})"


def _a_request(counter: str) -> str:
    """Return microseconds that a request spends, by model."""
    return f"sum by (model) (rate({counter}{{{HERE}}}{RATE})) / sum by (model) ({_SUCCESS})"


MODELS = Board(
    "watchword-models",
    "Watchword: Models and Triton",
    "Whether the model answers what it should, how long it takes, and whether there is room for more.",
    (
        Row(
            "Are the numbers right?",
            (
                number(
                    "Probes",
                    "1 while known images and texts come out right on every worker.",
                    f"min(watchword_probe_up{{{HERE}}})",
                    warn=1,
                    bad=0,
                    runbook="WatchwordProbeFailing",
                ),
                number(
                    "Known results",
                    "1 when every worker's model has a golden file.",
                    f"min(watchword_probe_known{{{HERE}}})",
                    warn=1,
                    bad=0,
                    runbook="WatchwordProbesMissing",
                ),
                number(
                    "Last probed",
                    "Longest time since a worker last probed itself.",
                    f"time() - min(watchword_probe_run_timestamp_seconds{{{HERE}}})",
                    unit="s",
                    warn=300,
                    bad=900,
                    runbook="WatchwordProbesStopped",
                ),
                number(
                    "Models",
                    "Different models that workers judge by.",
                    f"count(count by (model) (watchword_build_info{{{HERE}}}))",
                    warn=2,
                ),
                number(
                    "Golden images",
                    "Known images a second that went along in requests and came out right.",
                    f"sum(rate(watchword_probe_canaries_total{{{HERE}}}{RATE}))",
                    unit="ops",
                ),
                number(
                    "Time of a probe",
                    "Mean time of a run of all probes.",
                    f"sum(watchword_probe_duration_seconds_sum{{{HERE}}}) "
                    f"/ sum(watchword_probe_duration_seconds_count{{{HERE}}})",
                    unit="s",
                ),
            ),
        ),
        Row(
            "What fails?",
            (
                lines(
                    "Failing probes",
                    "By kind of probe.",
                    (f"sum by (probe) (increase(watchword_probe_failures_total{{{HERE}}}{RATE}))", "{{probe}}"),
                    kind="bars",
                    width=12,
                    runbook="WatchwordProbeFailing",
                    fault=True,
                ),
                lines(
                    "Encoder errors",
                    "Failed requests by kind: the server (`unavailable`), its models (`wrong_model`, `bad_answer`).",
                    (f"sum by (kind) (rate(watchword_encoder_errors_total{{{HERE}}}{RATE}))", "{{kind}}"),
                    unit="ops",
                    width=12,
                    runbook="WatchwordTritonAway",
                    fault=True,
                ),
            ),
        ),
        Row(
            "How long does it take?",
            (
                lines(
                    "Encoder request",
                    "As a worker sees it, with retries.",
                    *quantiles("watchword_encoder_request_duration_seconds"),
                    unit="s",
                ),
                lines(
                    "Waiting in Triton",
                    "Mean time that a request waits before it is computed.",
                    (_a_request("nv_inference_queue_duration_us"), "{{model}}"),
                    unit="µs",
                    bad=500_000,
                    runbook="WatchwordTritonQueue",
                ),
                lines(
                    "Computing",
                    "Mean time that a request is computed.",
                    (_a_request("nv_inference_compute_infer_duration_us"), "{{model}}"),
                    unit="µs",
                ),
            ),
        ),
        Row(
            "Is there room for more?",
            (
                lines(
                    "Requests",
                    "Requests a second that Triton answered, by model.",
                    (f"sum by (model) ({_SUCCESS})", "{{model}}"),
                    unit="ops",
                ),
                lines(
                    "Images computed together",
                    "Mean batch after Triton's dynamic batching.",
                    (
                        f"sum by (model) (rate(nv_inference_count{{{HERE}}}{RATE})) "
                        f"/ sum by (model) (rate(nv_inference_exec_count{{{HERE}}}{RATE}))",
                        "{{model}}",
                    ),
                ),
                lines(
                    "CPU of Triton's host",
                    "Share of all cores in use, by Triton's own measure.",
                    (f"nv_cpu_utilization{{{HERE}}}", "{{instance}}"),
                    unit="percentunit",
                ),
                lines(
                    "GPU",
                    "Share of the time that a GPU computes.",
                    (f"nv_gpu_utilization{{{HERE}}}", "{{gpu_uuid}}"),
                    unit="percentunit",
                    hardware=True,
                ),
                lines(
                    "GPU memory",
                    "Memory in use.",
                    (f"nv_gpu_memory_used_bytes{{{HERE}}}", "{{gpu_uuid}}"),
                    unit="bytes",
                    hardware=True,
                ),
                lines(
                    "Failed requests",
                    "Requests that Triton itself reports as failed.",
                    (f"sum by (model) (rate(nv_inference_request_failure{{{HERE}}}{RATE}))", "{{model}}"),
                    unit="ops",
                    runbook="WatchwordTritonAway",
                ),
            ),
        ),
    ),
)
