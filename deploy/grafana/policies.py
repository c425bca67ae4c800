"""The dashboards *Policies* and *One policy*: what is being flagged, and what changed?"""

from panels import HERE, POLICY, RATE, Board, Panel, Query, Row, lines, number

_CURRENT = f'set="current",{HERE}'


def _share(flags: str, scored: str, window: str = RATE) -> str:
    """Return the share of the scored images that policies say yes to."""
    return (
        f"sum by (policy) (rate(watchword_flags_total{{{flags}}}{window})) "
        f"/ sum by (policy) (rate(watchword_score_count{{{scored}}}{window}))"
    )


POLICIES = Board(
    "watchword-policies",
    "Watchword: Policies",
    "What is being flagged, what changed, and whether people agree.",
    (
        Row(
            "What is active?",
            (
                number(
                    "Release",
                    "Version of the active policy set; 0: from a folder.",
                    f"max(watchword_policy_version{{{HERE}}})",
                ),
                number(
                    "Active since",
                    "When the active policy set became active.",
                    f"max(watchword_policy_set_active_timestamp_seconds{{{HERE}}}) * 1000",
                    unit="dateTimeFromNow",
                ),
                number(
                    "Sets",
                    "Different policy sets that workers judge by. More than one for long: a worker is behind.",
                    f"count(count by (policy_set) (watchword_build_info{{{_CURRENT}}}))",
                    warn=2,
                    bad=2,
                    runbook="WatchwordPolicySetsDiffer",
                ),
                number(
                    "Rejected",
                    "Policy sets rejected in the last day; the active one stayed.",
                    f"sum(increase(watchword_policy_sets_refused_total{{{HERE}}}[1d]))",
                    warn=1,
                    runbook="WatchwordPolicySetRejected",
                ),
                number(
                    "Stale thresholds",
                    "Policies whose threshold was fitted for another model, prompts, target or labels.",
                    f"max(watchword_policies_stale{{{HERE}}})",
                    warn=1,
                    runbook="WatchwordCalibrationStale",
                ),
                number(
                    "Policies",
                    "Policies in the active set.",
                    f"count(count by (policy) (watchword_policy_info{{{HERE}}}))",
                ),
            ),
        ),
        Row(
            "What is being flagged?",
            (
                lines(
                    "Flags",
                    "Images a second that each enforced policy flags.",
                    (f'sum by (policy) (rate(watchword_flags_total{{mode="enforce",{_CURRENT}}}{RATE}))', "{{policy}}"),
                    unit="ops",
                    runbook="WatchwordFlagRateJump",
                ),
                lines(
                    "Share flagged",
                    "Of the images in a policy's scope. A jump or a fall to nothing is a wave, an edit, or a fault.",
                    (_share(_CURRENT, HERE), "{{policy}}"),
                    unit="percentunit",
                    runbook="WatchwordPolicySilent",
                ),
                lines(
                    "Shadows",
                    "Images a second that policies in shadow would flag.",
                    (f'sum by (policy) (rate(watchword_flags_total{{mode="shadow",{_CURRENT}}}{RATE}))', "{{policy}}"),
                    unit="ops",
                    fault=True,
                ),
            ),
        ),
        Row(
            "What changed?",
            (
                lines(
                    "Drift of scores",
                    "Population stability index against the days before; over 0.25 a shift.",
                    (f"max by (policy) (watchword_score_drift{{{HERE}}})", "{{policy}}"),
                    warn=0.1,
                    bad=0.25,
                    runbook="WatchwordScoreDrift",
                ),
                lines(
                    "Drift of images",
                    "The same for the embeddings: the images themselves have changed.",
                    (f"max(watchword_embedding_drift{{{HERE}}})", "embeddings"),
                    warn=0.1,
                    bad=0.25,
                    runbook="WatchwordEmbeddingDrift",
                ),
                lines(
                    "Release",
                    "Version of the active policy set of each worker.",
                    (f"watchword_policy_version{{{HERE}}}", "{{instance}}"),
                    runbook="WatchwordPolicySetStale",
                ),
            ),
        ),
        Row(
            "Do people agree?",
            (
                lines(
                    "Precision as decided",
                    "Lower end of the 95 % interval of the share of decided flags that were upheld.",
                    (f'watchword_decided_precision{{bound="lower",{HERE}}}', "{{policy}}"),
                    unit="percentunit",
                ),
                lines(
                    "Decisions",
                    "By policy and ruling; the last one of each event counts.",
                    (f"sum by (policy, ruling) (watchword_decisions{{{HERE}}})", "{{policy}} {{ruling}}"),
                ),
                lines(
                    "Canary",
                    "Share of images with a flag, by the policy set that judged them.",
                    (
                        f"sum by (set) (rate(watchword_flags_total{{{HERE}}}{RATE})) "
                        f"/ sum by (set) (rate(watchword_verdicts_total{{{HERE}}}{RATE}))",
                        "{{set}}",
                    ),
                    unit="percentunit",
                ),
            ),
        ),
        Row(
            "Every policy",
            (
                Panel(
                    "Policies",
                    "Policies of the active set with their thresholds.",
                    (
                        Query(
                            "max by (policy, mode, severity, owner, calibration) "
                            f"(watchword_policy_info{{{HERE}}} * on (cluster, group, instance, policy) "
                            f"group_left watchword_policy_threshold{{{HERE}}})"
                        ),
                    ),
                    kind="table",
                    width=24,
                ),
            ),
        ),
    ),
)

_BUCKETS = f"sum by (le) (increase(watchword_score_bucket{{{POLICY}}}{RATE}))"

ONE_POLICY = Board(
    "watchword-policy",
    "Watchword: One policy",
    "One policy's flags, scores, threshold and decisions.",
    (
        Row(
            "What does it flag?",
            (
                number(
                    "Flags a second",
                    "Images that it says yes to, in any mode.",
                    f'sum(rate(watchword_flags_total{{set="current",{POLICY}}}{RATE}))',
                    unit="ops",
                ),
                number(
                    "Share flagged",
                    "Of the images in its scope.",
                    f'sum(rate(watchword_flags_total{{set="current",{POLICY}}}{RATE})) '
                    f"/ sum(rate(watchword_score_count{{{POLICY}}}{RATE}))",
                    unit="percentunit",
                    runbook="WatchwordFlagRateJump",
                ),
                number(
                    "Threshold", "It says yes at or above this score.", f"max(watchword_policy_threshold{{{POLICY}}})"
                ),
                number(
                    "Drift",
                    "Population stability index of its scores; over 0.25 a shift.",
                    f"max(watchword_score_drift{{{POLICY}}})",
                    warn=0.1,
                    bad=0.25,
                    runbook="WatchwordScoreDrift",
                ),
                number(
                    "Precision as decided",
                    "Share of decided flags that were upheld.",
                    f'max(watchword_decided_precision{{bound="value",{POLICY}}})',
                    unit="percentunit",
                ),
                number(
                    "Images scored",
                    "Images in its scope, a second.",
                    f"sum(rate(watchword_score_count{{{POLICY}}}{RATE}))",
                    unit="ops",
                ),
            ),
        ),
        Row(
            "How are its scores distributed?",
            (
                Panel(
                    "Scores",
                    "Images by score over time. Flags are those at or above the threshold.",
                    (Query(_BUCKETS, "{{le}}"),),
                    kind="heatmap",
                    width=12,
                    runbook="WatchwordScoreDrift",
                ),
                lines(
                    "Flags by mode",
                    "Images a second, by the policy's mode and the set that judged them.",
                    (f"sum by (mode, set) (rate(watchword_flags_total{{{POLICY}}}{RATE}))", "{{mode}}, {{set}}"),
                    unit="ops",
                    width=12,
                ),
            ),
        ),
        Row(
            "What changed, and do people agree?",
            (
                lines(
                    "Drift",
                    "Population stability index of its scores against the days before.",
                    (f"max by (policy) (watchword_score_drift{{{POLICY}}})", "{{policy}}"),
                    bad=0.25,
                    runbook="WatchwordScoreDrift",
                ),
                lines(
                    "Precision as decided",
                    "With its 95 % interval.",
                    (f"watchword_decided_precision{{{POLICY}}}", "{{bound}}"),
                    unit="percentunit",
                ),
                lines(
                    "Decisions",
                    "By ruling.",
                    (f"sum by (ruling) (watchword_decisions{{{POLICY}}})", "{{ruling}}"),
                ),
            ),
        ),
    ),
    by_policy=True,
)
