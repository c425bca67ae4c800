"""The dashboard *Stream*: is it healthy, and where is the bottleneck?"""

from panels import HERE, RATE, Board, Row, lines, number, quantiles

_UP = f'up{{job="watchword",{HERE}}}'

STREAM = Board(
    "watchword-stream",
    "Watchword: Stream",
    "Whether images are judged in time, and if not, which stage holds them up. Rows go from symptom to cause.",
    (
        Row(
            "Is it healthy?",
            (
                number(
                    "Workers",
                    "Workers that answer Prometheus.",
                    f"sum({_UP})",
                    runbook="WatchwordNoData",
                    warn=1,
                    bad=0,
                ),
                number(
                    "Oldest waiting record",
                    "Age of the oldest uncommitted record of any partition.",
                    f"max(watchword_consumer_lag_seconds{{{HERE}}})",
                    unit="s",
                    warn=30,
                    bad=60,
                    runbook="WatchwordLagGrowing",
                ),
                number(
                    "Verdicts a second",
                    "Images judged and committed.",
                    f"sum(rate(watchword_verdicts_total{{{HERE}}}{RATE}))",
                    unit="ops",
                ),
                number(
                    "Dead letters",
                    "Share of records that cannot be judged. Past half, workers stop.",
                    f"sum(rate(watchword_dead_letters_total{{{HERE}}}{RATE})) "
                    f"/ (sum(rate(watchword_dead_letters_total{{{HERE}}}{RATE})) "
                    f"+ sum(rate(watchword_verdicts_total{{{HERE}}}{RATE})))",
                    unit="percentunit",
                    warn=0.01,
                    bad=0.1,
                    runbook="WatchwordDeadLetters",
                ),
                number(
                    "Probes",
                    "1 while known images and texts come out right on every worker; 0: nothing is judged.",
                    f"min(watchword_probe_up{{{HERE}}})",
                    warn=1,
                    bad=0,
                    runbook="WatchwordProbeFailing",
                ),
                number(
                    "Without progress",
                    "Longest time without a commit while there was something to commit.",
                    f"max(watchword_seconds_without_progress{{{HERE}}})",
                    unit="s",
                    warn=10,
                    bad=60,
                    runbook="WatchwordStalled",
                ),
            ),
        ),
        Row(
            "Is it in time?",
            (
                lines(
                    "Latency",
                    "From an event's `ce_time` to its committed verdict. The objective: 99 % within 5 s.",
                    *quantiles("watchword_end_to_end_latency_seconds"),
                    unit="s",
                    bad=5,
                    runbook="WatchwordSlowFast",
                ),
                lines(
                    "Arriving and judged",
                    "Records read, verdicts and dead letters committed. Reading more than is committed: rewinds.",
                    (f"sum(rate(watchword_records_total{{{HERE}}}{RATE}))", "read"),
                    (f"sum(rate(watchword_verdicts_total{{{HERE}}}{RATE}))", "verdicts"),
                    (f"sum(rate(watchword_dead_letters_total{{{HERE}}}{RATE}))", "dead letters"),
                    unit="ops",
                ),
                lines(
                    "Lag",
                    "Records between the committed offset and the end, by partition. One partition alone: a key that "
                    "most records share.",
                    (f"sum by (partition) (watchword_consumer_lag_records{{{HERE}}})", "partition {{partition}}"),
                    runbook="WatchwordLagGrowing",
                ),
            ),
        ),
        Row(
            "Where is the bottleneck?",
            (
                lines(
                    "Queues",
                    "Chunks waiting in front of each stage. The stage after the longest queue is the bottleneck.",
                    (f"sum by (stage) (watchword_queue_chunks{{{HERE}}})", "{{stage}}"),
                ),
                lines(
                    "Time of a stage",
                    "95th percentile of the time that each stage spends on one chunk.",
                    (
                        "histogram_quantile(0.95, sum by (le, stage) "
                        f"(rate(watchword_stage_duration_seconds_bucket{{{HERE}}}{RATE})))",
                        "{{stage}}",
                    ),
                    unit="s",
                ),
                lines(
                    "Chunks in work",
                    "Against their limit. At the limit, partitions are paused: downstream is slower than the topic.",
                    (f"sum(watchword_chunks_in_work{{{HERE}}})", "in work"),
                    (f'sum(watchword_capacity{{limit="chunks",{HERE}}})', "limit"),
                ),
                lines(
                    "Encoder requests",
                    "Requests without an answer, against their limit. At the limit, Triton is the bottleneck.",
                    (f"sum(watchword_encoder_requests_in_flight{{{HERE}}})", "in flight"),
                    (f'sum(watchword_capacity{{limit="requests",{HERE}}})', "limit"),
                ),
                lines(
                    "Batch fill",
                    "Images in an encoder request, as a share of the largest. Low on a busy stream: chunks are small.",
                    (
                        f"sum(rate(watchword_batch_images_sum{{{HERE}}}{RATE})) "
                        f"/ sum(rate(watchword_batch_images_count{{{HERE}}}{RATE})) "
                        f'/ avg(watchword_capacity{{limit="batch_images",{HERE}}})',
                        "fill",
                    ),
                    unit="percentunit",
                ),
                lines(
                    "Records in a chunk",
                    "Median and 95th percentile. At WATCHWORD_CHUNK_MAX_RECORDS, the stream is behind.",
                    *quantiles("watchword_chunk_records")[:2],
                ),
            ),
        ),
        Row(
            "Commits and the group",
            (
                lines(
                    "Time of a commit",
                    "One transaction, from its first record to the broker's answer.",
                    *quantiles("watchword_commit_duration_seconds"),
                    unit="s",
                    bad=15,
                    runbook="WatchwordCommitsAborted",
                ),
                lines(
                    "Aborted transactions",
                    "By cause. Their chunks are read again; nothing is lost.",
                    (
                        f"sum by (cause) (increase(watchword_commits_aborted_total{{{HERE}}}{RATE}))",
                        "{{cause}}",
                    ),
                    kind="bars",
                    runbook="WatchwordCommitsAborted",
                    fault=True,
                ),
                lines(
                    "Rewinds and fencings",
                    "Rewinds follow rebalances and aborts. Fencings again and again: two workers with one id.",
                    (f"sum(increase(watchword_rebalances_total{{{HERE}}}{RATE}))", "rewinds"),
                    (f"sum(increase(watchword_fencings_total{{{HERE}}}{RATE}))", "fencings"),
                    kind="bars",
                    runbook="WatchwordFencingLoop",
                ),
                lines(
                    "Partitions",
                    "Assigned to each worker. Their sum should be the topic's.",
                    (f"watchword_assigned_partitions{{{HERE}}}", "{{instance}}"),
                ),
                lines(
                    "Dead letters by reason",
                    "`watchword dead-letters list` shows them, `requeue` puts them back once the cause is mended.",
                    (
                        f"sum by (reason) (rate(watchword_dead_letters_total{{{HERE}}}{RATE}))",
                        "{{reason}}",
                    ),
                    unit="ops",
                    runbook="WatchwordDeadLetters",
                ),
                lines(
                    "Records missed",
                    "Removed by retention before they were read: never judged.",
                    (f"sum(increase(watchword_records_missed_total{{{HERE}}}{RATE}))", "missed"),
                    kind="bars",
                    bad=1,
                    runbook="WatchwordRecordsMissed",
                ),
            ),
        ),
        Row(
            "Processes",
            (
                lines(
                    "CPU",
                    "Cores used by each worker's own process; its decode processes come on top.",
                    (f'rate(process_cpu_seconds_total{{job="watchword",{HERE}}}{RATE})', "{{instance}}"),
                ),
                lines(
                    "Memory",
                    "Resident memory of each worker's own process.",
                    (f'process_resident_memory_bytes{{job="watchword",{HERE}}}', "{{instance}}"),
                    unit="bytes",
                ),
                lines(
                    "Retries",
                    "Calls that are repeated because a dependency failed, by dependency.",
                    (f"sum by (dependency) (rate(watchword_retries_total{{{HERE}}}{RATE}))", "{{dependency}}"),
                    unit="ops",
                    runbook="WatchwordTritonAway",
                    fault=True,
                ),
            ),
        ),
    ),
)
