"""Lanes run the transcription jobs of all sessions on engines, and keep the engines' threads away from everything else.

`scheduler.Lanes` holds the lane for finals and the lane for partials, which may be one. A session calls `Lane.submit`
and waits for the ticket; `Lane.partial_policy` says when to ask for the next partial. A job's way to the engine:

- `lane`: queues it (`waiting_jobs`, `fair_queue`) and forms batches;
- `worker`: runs a batch, retries, and replaces a lost engine (`lane_health` is the resulting state);
- `worker_engine`: makes the call within a deadline, and decides whether the engine is lost;
- `executor`: the port to where the engine lives: `engine_thread`, `engine_process` or `engine_actor`;
- `loaded_engine`: guards the engine, beside it, wherever that is;
- `engines`: one adapter per recogniser.
"""
