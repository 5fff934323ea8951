"""The rules of this folder: `python -m unittest` here. Needs nothing but Python."""

import random
import statistics
import unittest

import chart
import codec_table
import compare
import noise
import stream_table
import table
import virtual
import work
from modes import MODES

ROUNDS = 7


def series(rng: random.Random, milliseconds: float, spread: float, machine: list[float] | None = None) -> list[float]:
    """Times with a share of `spread` as noise and, now and then, a disturbed round; on a machine of changing speed."""
    speeds = machine or [1.0] * ROUNDS
    hiccup = [1.3 if rng.random() < 0.1 else 1.0 for _ in speeds]
    return [milliseconds * s * h * (1.0 + rng.gauss(0.0, spread)) for s, h in zip(speeds, hiccup, strict=True)]


def result(rng: random.Random, ours: float, machine: list[float] | None = None) -> dict:
    times = {"percept-int8": ours, "ort-int8": 500.0, "rten-int8": 300.0, "ort-f32": 570.0}
    made = {name: {"times_ms": series(rng, ms, 0.01, machine)} for name, ms in times.items()}
    for row in made.values():
        row |= {"median_ms": statistics.median(row["times_ms"]), "relative_l2": 0.01}
    return {
        "layers": 24, "threads": 2, "rounds": ROUNDS, "cpu": "a CPU", "order": list(times), "reference": "ort-f32",
        "series": {"14": made},
        "limits_ms": {"14": {"int8": 125.0, "f32": 400.0}},
        "peaks": {"f32_gflops": 526.0, "bf16_gflops": None, "int8_gops": 1931.0, "memory_gbps": 40.0},
    }  # fmt: skip


class Noise(unittest.TestCase):
    def flagged(self, factor: float, spread: float) -> float:
        """The share of 2000 pairs of series that are flagged when the second takes `factor` times as long."""
        rng = random.Random(1)
        pairs = [(series(rng, 100.0, spread), series(rng, 100.0 * factor, spread)) for _ in range(2000)]
        return sum(noise.Change.between(*pair).is_flagged for pair in pairs) / len(pairs)

    def test_equal_series_are_hardly_ever_flagged(self):
        for spread in (0.0, 0.002, 0.01, 0.03, 0.1):
            self.assertLess(self.flagged(1.0, spread), 0.03, f"spread {spread}")

    def test_a_change_well_beyond_the_noise_is_flagged(self):
        for factor, spread in ((1.05, 0.005), (0.95, 0.005), (1.1, 0.01), (1.4, 0.03)):
            self.assertGreater(self.flagged(factor, spread), 0.9, f"factor {factor}, spread {spread}")

    def test_a_change_within_the_noise_is_not_flagged(self):
        for factor, spread in ((1.015, 0.0), (0.985, 0.001), (1.02, 0.05)):
            self.assertLess(self.flagged(factor, spread), 0.05, f"factor {factor}, spread {spread}")

    def test_few_rounds_are_never_flagged(self):
        self.assertFalse(noise.Change.between([100.0] * 4, [200.0] * 4).is_flagged)

    def test_one_disturbed_round_adds_no_noise(self):
        self.assertEqual(noise.standard_error([10.0] * 6 + [99.0]), 0.0)


class Compare(unittest.TestCase):
    def verdicts(self, old: dict, new: dict, raw: bool = False) -> list[tuple[str, bool]]:
        yardsticks = [] if raw else compare.shared_yardsticks(old, new)
        return [(name, change.is_flagged) for _, name, _, _, change in compare.compare(old, new, yardsticks)]

    def test_a_slower_machine_is_no_change(self):
        rng = random.Random(2)
        drift = [1.5 + 0.05 * n for n in range(ROUNDS)]
        old, new = result(rng, 160.0), result(rng, 160.0, drift)
        self.assertEqual(self.verdicts(old, new), [("percept-int8", False)])
        self.assertEqual(self.verdicts(old, new, raw=True), [("percept-int8", True)])

    def test_a_slower_encoder_is_seen_on_any_machine(self):
        rng = random.Random(3)
        for speed in (0.7, 1.0, 1.5):
            old, new = result(rng, 160.0), result(rng, 200.0, [speed] * ROUNDS)
            self.assertEqual(self.verdicts(old, new), [("percept-int8", True)], f"machine x{speed}")

    def test_files_of_other_sizes_are_refused(self):
        old, new = result(random.Random(4), 160.0), result(random.Random(4), 160.0)
        with self.assertRaises(SystemExit):
            compare.comparable(old, new | {"layers": 2})


class Table(unittest.TestCase):
    def test_every_engine_has_a_row_and_ratios_are_to_ours(self):
        made = table.markdown(result(random.Random(5), 160.0))
        rows = [line for line in made.splitlines() if line.startswith("|")]
        self.assertEqual(len(rows), 2 + 4 + 2)
        self.assertTrue(all(row.count("|") == rows[0].count("|") for row in rows), made)
        self.assertRegex(rows[2], r"\*\*Percept int8\*\* \| 1[56]\d ms \| 1 %")
        self.assertRegex(rows[3], r"ONNX Runtime int8 \| [45]\d\d ms \(×3\.[01]\d\)")

    def test_a_filled_readme_stays_as_it_is(self):
        readme = f"before\n{table.BEGIN}\n{table.END}\nafter\n"
        once = table.fill(readme, "| table |\n")
        self.assertEqual(once, f"before\n{table.BEGIN}\n| table |\n{table.END}\nafter\n")
        self.assertEqual(table.fill(once, "| table |\n"), once)
        with self.assertRaises(ValueError):
            table.fill("no markers", "")

    def test_the_chart_shows_every_engine_and_the_limits(self):
        drawn = chart.encoder(result(random.Random(6), 160.0))
        for name in ("percept int8", "ort f32", "limit int8"):
            self.assertIn(f">{name}</text>", drawn)


class Virtual(unittest.TestCase):
    """A clock that only work moves forward."""

    def run_with(self, streams: int, step_s: float, each_s: float = 0.0, seconds: float = 60.0) -> virtual.Outcome:
        return virtual.serve(virtual.Load(streams, 0.5, seconds, 8), lambda batch: step_s + each_s * len(batch))

    def test_as_many_streams_are_held_as_there_is_time_for(self):
        for each_s in (0.01, 0.1):
            fit = int(0.5 / each_s)
            self.assertTrue(self.run_with(fit, 0.0, each_s * 0.99).held, each_s)
            self.assertFalse(self.run_with(fit + 1, 0.0, each_s, seconds=600.0).held, each_s)

    def test_a_stream_alone_is_as_late_as_its_step_is_long(self):
        outcome = self.run_with(1, 0.02)
        self.assertTrue(outcome.held)
        self.assertAlmostEqual(virtual.quantile(outcome.lags_ms, 0.99), 20.0, places=3)
        self.assertAlmostEqual(outcome.busy, 0.04, delta=0.001)

    def test_every_step_of_every_stream_is_done(self):
        outcome = self.run_with(9, 0.01)
        self.assertEqual(len(outcome.lags_ms), 9 * 120)

    def test_a_fuller_engine_makes_larger_batches(self):
        sizes = [self.run_with(streams, 0.05).mean_batch for streams in (1, 10, 40)]
        self.assertEqual(sizes, sorted(sizes))
        self.assertGreater(sizes[-1], 3.0)

    def test_the_capacity_is_that_of_the_costs(self):
        costs = {1: [10.0] * 5, 2: [15.0] * 5, 4: [20.0] * 5}
        held, outcome = virtual.capacity(costs, 0.5, 600.0)
        self.assertAlmostEqual(held, 100, delta=1)
        self.assertTrue(outcome.held)
        self.assertEqual(virtual.Costs(costs).largest_batch(), 4)
        self.assertAlmostEqual(virtual.Costs(costs).seconds([1, 2, 3]), 0.0175)

    def test_an_engine_that_is_too_slow_for_one_holds_none(self):
        self.assertEqual(virtual.capacity({1: [600.0]}, 0.5, 600.0)[0], 0)

    def test_live_runs_go_down_until_one_is_held(self):
        self.assertEqual(virtual.highest(100, lambda n: {"streams": n, "held": n <= 91})["streams"], 91)
        self.assertEqual(virtual.highest(2, lambda n: {"streams": n, "held": False})["streams"], 0)


def stream_result() -> dict:
    def engine(streams: int, ms: float) -> dict:
        found = {"streams": streams, "held": True, "lag_p50_ms": 2 * ms, "lag_p99_ms": 5 * ms, "seconds": 600.0}
        return {"step_p50_ms": ms, "step_p99_ms": 1.2 * ms, "tokens_per_second": 4.1, "simulated": found, "live": found}

    engines = {"percept-int8": engine(12, 160.0), "ort-int8": engine(4, 530.0)}
    modes = {mode.name: {"latency_s": mode.latency_s, "engines": engines} for mode in MODES.values()}
    modes["10-2-2"]["volatile_share"] = 0.031
    return {"layers": 24, "threads": 2, "cpu": "a CPU", "order": list(engines), "modes": modes}


class Streams(unittest.TestCase):
    def test_every_mode_has_a_row_and_ratios_are_to_ours(self):
        made = stream_table.markdown(stream_result())
        rows = [line for line in made.splitlines() if line.startswith("|")]
        self.assertEqual(len(rows), 2 + len(MODES))
        self.assertTrue(all(row.count("|") == rows[0].count("|") for row in rows), made)
        self.assertRegex(rows[2], r"10-2-2 \| 4 s \| 12 \| 4 \(÷3.0\) \| 320 ms / 800 ms")
        self.assertIn("530 ms (×3.31)", rows[2])
        self.assertIn("+3.1 %", made)

    def test_theory_is_chunk_and_right_context(self):
        self.assertEqual([mode.latency_s for mode in MODES.values()], [4.0, 1.12, 0.56, 0.16, 0.08])

    def test_the_chart_shows_every_engine(self):
        drawn = chart.streams(stream_result())
        self.assertEqual(drawn.count(">ort int8</text>"), len(MODES))


def codec_result() -> dict:
    series = {
        "snac_24khz: encode": {"percept-f32": 200.0, "ort-f32": 800.0, "torch-f32": 2000.0},
        "snac_24khz: decode": {"percept-f32": 350.0, "torch-f32": 3400.0},
    }
    streams = {"decode": {"ratio": 1.21, "step_p50_ms": 3.4, "step_p99_ms": 4.0}}
    memory = {"loaded": 100.0, "after_10_s": 110.0, "after_120_s": 111.0}
    return {
        "seconds": 10.0, "threads": 2, "rounds": ROUNDS, "cpu": "a CPU", "order": ["percept-f32", "ort-f32", "torch-f32"],
        "peaks": {"f32_gflops": 526.0},
        "models": {"snac_24khz": {"books": 3, "streams": streams, "stream_memory_mb": memory}},
        "series": {row: {name: {"median_ms": ms} for name, ms in times.items()} for row, times in series.items()},
        "limits_ms": {row: {"f32": 100.0} for row in series},
    }  # fmt: skip


class Codecs(unittest.TestCase):
    def test_every_way_has_a_row_and_ratios_are_to_ours(self):
        made = codec_table.markdown(codec_result())
        rows = [line for line in made.splitlines() if line.startswith("|")]
        self.assertEqual(len(rows), 2 + 2)
        self.assertTrue(all(row.count("|") == rows[0].count("|") for row in rows), made)
        self.assertRegex(rows[2], r"3 books, encode \| 200 ms \| 800 ms \(×4.0\) \| 2000 ms \(×10.0\) \| 100 ms \| 50 %")
        self.assertIn("×1.21 of the time for the whole, 111 MB at most after 120 s (+1 MB)", made)

    def test_the_chart_shows_every_engine_and_the_limit(self):
        drawn = chart.codec(codec_result())
        for name in ("percept f32", "torch f32", "limit f32"):
            self.assertEqual(drawn.count(f">{name}</text>"), 2)


class Work(unittest.TestCase):
    def test_the_arithmetic_is_that_of_the_model(self):
        linear, other = work.products(14.0, 24)
        self.assertAlmostEqual(linear / 14e9, 7.24 + 0.118, delta=0.01)  # a second of audio; 24 layers and subsampling
        self.assertAlmostEqual(other / 14e9, 0.161 + 0.0124, delta=0.001)
        self.assertAlmostEqual(work.weights(24) / 1e6, 579.0 + 4.3, delta=1.0)

    def test_short_windows_are_bound_by_memory_and_long_ones_by_arithmetic(self):
        peaks = {"f32_gflops": 526.0, "int8_gops": 1931.0, "memory_gbps": 38.0}
        self.assertAlmostEqual(work.limits(1.0, 24, peaks)["int8"], 16.0, delta=1.0)
        self.assertAlmostEqual(work.limits(14.0, 24, peaks)["int8"], 118.0, delta=5.0)


if __name__ == "__main__":
    unittest.main()
