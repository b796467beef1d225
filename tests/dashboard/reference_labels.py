"""Every label, hint, caption, control and empty-state sentence that the training page owes its reader.

One a line: the state of the page in which it shows, `label`, and `| hint` when it has one. `…` stands for a figure or
a name, and `=` before a label says that some element has exactly this text; otherwise it is part of the visible text.
`always` holds before anything has run and at work, `empty` only before, `busy` only at work.
"""

from __future__ import annotations

from dataclasses import dataclass

PROOF = """
always  =Model Update Proof | Shows exactly which model tags are active/candidate/configured/unused and whether successful training outcomes are being applied into live promotion state.
always  Active routing + candidate lifecycle + live apply counters.
always  =Model Update Progress
always  state …
always  window …
always  snapshot live
always  progress …%
always  …/… in current window
always  … until next eval
empty   Window collecting outcomes
always  next action: …
busy    next action: Continue successful runs to hit the next eval window.
always  =Successes
always  =Watermark
always  =Next Target
always  =Live Applies
always  =Promotion worker
always  =Active Controller Tag
always  =Active Standard Task Model
always  =Candidate
always  =Snapshot
always  =Last apply
always  =Last eval attempt
always  =Threshold reached
empty   =No active model tags reported
always  update … → … at …
always  controller tag …
always  standard task model …
always  live apply … at …
always  | watermark …
always  | delta since watermark …
always  window progress …/…
always  | next eval due …
always  | pending …
always  | recent success …/… (…)
always  =Candidate Under Evaluation
empty   =No candidate tags pending
empty   No candidate queued yet. This is normal between update windows. Next evaluation window: …/….
always  pending state …
always  | canary …
always  quality candidate/baseline … / …
always  summary …
always  =Configured Routing Models
empty   =No configured routing tags
always  =Installed but Unused
empty   =No unused tags in sample
always  unused …
always  retention keep … controller tags (older non-pinned tags may be pruned)
always  =Outcomes / Success / Failure | Rolling training-outcome counters used to decide promotion eligibility.
always  =Live Apply Count | Number of times a new model tag has been applied live after passing promotion/canary gates.
always  =Last Live Apply | Timestamp when the most recent live model switch was applied.
always  =Last Switch | Previous active model tag, current active tag, and switch timestamp.
always  =Proof Snapshot Generated | Backend generation timestamp for this model proof snapshot.
always  =Proof Cache Age | Should stay near zero and reset frequently while polling.
always  …s / …s ttl
"""  # noqa: E501

STATE = """
always  =Training State | Whether the continuous training coordinator loop is currently running. Enabled=true means training is allowed; Running=true means the loop is actively ticking and launching training runs.
empty   enabled false
busy    enabled true
always  =Success (Last 100) | Completion rate for the most recent 100 training outcomes. This will lag after changes; it improves as new runs complete successfully.
always  =Queue Pending | Pending training sources waiting to be executed. Queue sources are operator-enqueued prompts; curriculum sources are auto-seeded hosts/tasks.
always  curriculum …
always  hosts …
always  =Running Runs (Total) | Total active runs across the whole runtime. Training Max Active Runs applies only to training cycles. Control-plane runs (eval/canary/manual) are counted separately as non-training.
always  training …/…
always  non-training …
always  =System | Derived system health from diag snapshot. Same canonical derivation used on Dashboard. Worker + scheduler + ollama signals.
always  worker … | queue depth …
"""  # noqa: E501

LANES = """
always  =Training Lanes (Auto vs Queued)
always  Read-only lane behavior. Source lane mode is ….
always  =Automatic Training Loop
always  Start Training: …
always  This lane continuously claims a source, launches training runs, and writes outcomes to learning memory while enabled.
always  =Current Source Type
always  … | running …/…
always  =Fallback Policy
always  Curriculum fallback …
always  =Host Lock
always  none (host-diverse mode)
always  =Host Selection Policy
always  Host-diverse concurrent mode | same-host concurrency 1
always  Stop Training pauses new automatic picks. In-flight runs continue to terminal state.
always  =Queued Exact Runs
empty   =No queued exact runs
busy    DivineStatus pending
always  Queueing from this page creates exact prompts (for example DivineStatus cost-estimate flows) and marks them queued_from=training_ui.
always  =Pending Queue (All)
always  =Pending Queue (training_ui)
always  =Pending Queue (other origins)
always  =Pending Curriculum
empty   Hybrid mode: queue is empty; curriculum fallback is used only if enabled.
always  training_ui share …/….
"""  # noqa: E501

RELAY = """
always  =How Training Improves Standard Tasks
always  Training runs are separate from standard runs, but both share the same learning store.
always  Learning Relay …
busy    Learning Relay healthy
busy    Queue → training outcome → learning ingest → reused by standard tasks
always  =Step 1
always  =Queue Intake
always  … consumed in 30m | … pending
always  Consumed training sources become execution-ready cycles.
always  =Step 2
always  =Training Execution
always  training …/… running | …/… recent successes
always  Runs emit outcomes that feed the learning relay.
always  =Step 3
always  =Learning Ingest
always  … ingested in 30m | backlog …
always  Outcomes are upserted into shared learning memory.
always  =Step 4
always  =Standard Task Reuse
always  window …/… | live applies …
always  Standard tasks use active model ….
always  =Current Window To Next Eval
always  Window progress increases as successful training outcomes, … ones only, are ingested. When it reaches …, the controller can advance evaluation/promotion checks and apply model updates to standard tasks.
always  =Training Sources Consumed (30m)
always  =Learning Records Ingested (30m)
always  =Learning Ingest Backlog
always  =Running Split
always  training … | standard …
always  =Standard Task Model
always  =Latest Training Success
always  Training tasks execute on the training lane only. After completion, the run is written to training_outcomes and then ingested via run_learning_outcomes/memory_items. Standard tasks read from that shared learning state on subsequent runs.
"""  # noqa: E501

SOURCE = """
always  =Live Training Source | Exact source currently executing in the training loop. When curriculum fallback is On and queue is empty, this will show curriculum_fallback.
always  Confirms what is being trained right now and what will be picked next.
always  =Selection Mode | queue_pending means operator queue source. curriculum_fallback means queue is empty and fallback selected curriculum source.
always  =Fallback Enabled (Live) | Runtime toggle currently applied in the trainer process.
always  =Queue Pending | Pending operator-queued training sources.
always  =Queue Pending (training_ui) | Exact prompts enqueued from this Training UI, including DivineStatus tasks.
always  =Curriculum Pending | Pending curriculum sources eligible only when fallback is enabled and queue is empty.
always  =Active Host Lock | When set, queue selection is temporarily pinned to this host to avoid mixed-host training drift.
always  =Training Outcomes Storage | Training outcomes are appended as new rows and not rewritten by source selection.
empty   =No active training cycle and no eligible next source preview.
"""  # noqa: E501

QUEUE = """
always  =Create Training Queue | Define one training task (title + optional host + prompt), then queue either one run or a campaign batch of the same task. The prompt is interpreted by the active LLM during each training run.
always  Define once, then queue one run or a full campaign count of that same task.
always  =Training Task Definition
always  =Title
always  =Host
always  =Prompt
always  This prompt is what the LLM follows during training execution.
always  =Queue one run
always  =Campaign Batch Queue
always  =Campaign Size
always  =Queue campaign
always  Campaign Size creates that many queued training runs from the task definition above.
always  =Campaign Progress
always  Campaign: …
always  Progress: …
always  Queued: …
always  | Failed: …
always  Started: …
always  | Finished: …
always  Campaign rows are generated from the task definition above, with unique scenario markers so all queued runs execute independently.
"""  # noqa: E501

CYCLES_AND_PENDING = """
always  =Recent Training Cycles | Each cycle corresponds to one training source being turned into a task + run, then finalized into an outcome. Use Error + Status to diagnose why training success is low.
always  showing …/… (max 10)
empty   =No cycles yet
empty   Start training or queue prompts to create cycles.
busy    =Error
busy    =Status
always  =Pending Training Sources | Backlog rows waiting in the training source queue. This makes Queue Pending fully inspectable instead of only showing a summary count.
always  queue …/… | curriculum …/… (max 10 each)
always  =Queue Sources (Pending)
empty   =No pending queue sources.
always  =Curriculum Sources (Pending)
empty   =No pending curriculum sources.
"""  # noqa: E501

CONTROLS = """
always  =Runtime Controls & Settings | Start/Stop automatic training and apply runtime settings in one place.
always  Control automatic training and edit runtime values without restart.
always  =Training Runtime Control | Start/Stop controls only the automatic training loop. Queued training prompts remain queued until consumed.
always  =Start Training
always  =Stop Training
always  Lane mode …. Automatic lane status …. Selection mode ….
always  =Queue Pending
always  … (training_ui … | other …)
always  =Curriculum Pending
always  | fallback …
always  =Current Source
always  =Host Policy
always  Host-diverse concurrent mode | lock none (host-diverse mode)
always  =Manual API control
always  /api/training/start and /api/training/stop.
always  One caveat: if scripts/training_daemon.py is running with TRAINING_DAEMON_START_IF_STOPPED=1, Stop can be auto-reversed by the daemon.
always  =Applied Now (Live) | Current runtime values already active on the running backend process.
always  =Training-Only Runtime Settings | These controls affect training loop behavior only and apply without restart.
always  =Training Max Active Runs | Training-only cap: limits active training cycles, not total runtime runs.
always  =Loop Interval (s) | Delay between scheduler ticks when capacity is available.
always  =Recent Host Window | Host dedupe window used to diversify training source selection.
always  =Retry Budget / Source | Max failed attempts allowed per training source before disablement.
always  =Default Pages Target | Default page-count target only when prompt does not explicitly set one.
always  =Curriculum Fallback | Whether curriculum sources are allowed when operator queue is empty.
always  =Source Lane Mode | Hybrid = queue first then curriculum fallback. Queued Only = queue only. Automatic Only = curriculum only.
always  =Campaign Lock Mode | When enabled, campaign queue selection is locked to keep training intake stable.
always  =Host Selection Policy | Campaign lock On = strict single-host lock. Campaign lock Off = host-diverse concurrent selection across queued hosts.
always  Host-diverse concurrent mode | active lock none (host-diverse mode)
always  Same-host concurrency cap 1.
always  =All-Task Runtime Settings (Read-only) | Global values shared by training and manually-created runs.
always  =Global Max Concurrent Runs | Hard upper limit for all simultaneously running runs in the system.
always  =Reserved Control Slots | Slots reserved for non-training control-plane work (self-improve/model-promotion/canary).
always  =Effective Training Ceiling | Derived cap for training-only slots: Global Max Concurrent Runs minus Reserved Control Slots.
always  =Running Split (Now) | Real-time active run breakdown used to explain why total running can exceed the training-only cap.
always  training … | non-training …
always  =Controller Max Calls / Run | How many controller-model URL-pick calls are allowed per run.
always  =Browser Headful (Global) | Whether browser sessions render with visible UI windows.
always  =Browser Autostart (Global) | Whether browser sessions are auto-launched for run execution.
always  =Change Selectors | Draft values you can edit before applying live runtime updates.
always  Training-only settings. Edit values below, then click Apply Settings. Global runtime caps remain read-only here.
always  =Hybrid
always  =Queued Only
always  =Automatic Only
always  Hybrid consumes queued sources first, then curriculum when fallback is enabled. Queued Only blocks curriculum. Automatic Only ignores queued prompts and runs curriculum lane only.
always  =Selector: Off
always  =Selector: On
always  Toggle to change selector value
always  Host-diverse mode spreads concurrent runs across hosts/pages. Strict mode keeps one campaign/host flow stable for deterministic replay.
always  =Apply Settings
always  =Pending Changes | Difference between currently applied runtime values and your draft selectors.
always  =No pending runtime setting changes.
always  Selectors match live values
always  Training view
always  fingerprint …
always  cache …s / …s ttl
"""  # noqa: E501

PANELS = (PROOF, STATE, LANES, RELAY, SOURCE, QUEUE, CYCLES_AND_PENDING, CONTROLS)


@dataclass(frozen=True, slots=True)
class Owed:
    """One text that the page owes: in which state, whether an element says exactly this, and its hint."""

    text: str
    state: str  # always | empty | busy
    exact: bool
    hint: str

    def is_due(self, world: str) -> bool:
        """Whether it shows in `world`, which is `empty` or `busy`."""
        return self.state in ("always", world)


def read_owed() -> list[Owed]:
    """The whole list."""
    return [_read_line(line) for panel in PANELS for line in panel.strip().splitlines()]


def _read_line(line: str) -> Owed:
    state, rest = line.split(maxsplit=1)
    exact = rest.startswith("=")
    text, _, hint = rest[1:].partition(" | ") if exact else (rest, "", "")
    return Owed(text=text, state=state, exact=exact, hint=hint)
