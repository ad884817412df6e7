"""What each model of a run costs, and the boards that carry it."""

import dataclasses

CHIP = "cortex-m4f"  # the emulated chip whose instructions every model is compared by


def of_model(answers, name: str, flatbuffer: bytes) -> dict:
    """Size, work, memory on each engine and instructions: the fields of docs/metrics.md.

    Args:
        answers: From `answers.collect`.
        name: The model's.
        flatbuffer: Its flatbuffer.
    """
    from tflite import boards, footprint, graph, instructions

    refused = answers.refused.get(name, {})
    arena = None if "tflm" in refused else footprint.arena(flatbuffer)
    chips = instructions.CHIP_OF_CORE.values() if name == "student" else [CHIP]
    counted, reasons = instructions.count_all(flatbuffer, chips)
    return {
        "parameters": answers.parameters[name],
        "macs": footprint.macs(graph.read(flatbuffer)),
        "bytes": len(flatbuffer),
        "arena_bytes": arena and arena.recommended_bytes,
        "arena": arena and dataclasses.asdict(arena),
        "memory": {need.engine: _memory(need) for need in boards.needs(flatbuffer)},
        "instructions": counted,
        "not_counted": reasons,
        "refused": refused,
        "left_out": answers.left_out.get(name, {}),
        "latency_ms": answers.latency.get(name, {}),
    }


def _memory(need) -> dict:
    from tflite import boards

    fitting = sum(boards.fit(board, need).fits for board in boards.load().values())
    keys = ("weight_bytes", "code_bytes", "arena_bytes")
    return {key: getattr(need, key) for key in keys} | {"boards": fitting}


def add_ratios(models: dict) -> None:
    """Adds how many times smaller than the teacher each model is."""
    for row in models.values():
        row["compression"] = {
            key: models["teacher"][key] / row[key] if row[key] and models["teacher"][key] else None
            for key in ("parameters", "macs", "bytes", "arena_bytes")
        }


def on_boards(flatbuffer: bytes, counted: dict[str, int]) -> list[dict]:
    """A model on every board: with each engine, and with the one that leaves most to spare.

    Args:
        flatbuffer: The model.
        counted: `{chip: instructions}` of its generated C.
    """
    from tflite import boards, instructions

    needs, rows = boards.needs(flatbuffer), []
    if not needs:
        return rows
    for best in boards.table(needs):
        board = best.board
        every = {need.engine: boards.fit(board, need) for need in needs}
        count = counted.get(instructions.CHIP_OF_CORE.get(board.core))
        rows.append(
            {key: getattr(board, key) for key in ("name", "title", "core", "clock_hz")}
            | {"engine": best.need.engine}
            | _fit(best)
            | {"engines": {engine: _fit(one) for engine, one in every.items()}}
            | {"milliseconds_at_least": count and board.milliseconds(count)}
        )
    return rows


def _fit(one) -> dict:
    keys = ("fits", "ram_left", "flash_left")
    return {key: getattr(one, key) for key in keys} | {"note": one.explain()}
