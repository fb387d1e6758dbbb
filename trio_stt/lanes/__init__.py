"""Lanes run the transcription jobs of all sessions on engines, and keep the engines' threads away from everything else.

`scheduler.Lanes` holds the lane for finals and the lane for partials, which may be one. A session calls `Lane.submit`
and waits for the ticket; `Lane.partial_policy` says when to ask for the next partial. A job's way to the engine:

- `lane`: queues it (`fair_queue`) and forms batches;
- `worker`: runs a batch within a deadline, retries, and replaces a lost engine (`lane_health` is the resulting state);
- `executor`: the port to where the engine lives, today `engine_thread`, around a `loaded_engine`;
- `engines`: one adapter per recogniser.
"""
