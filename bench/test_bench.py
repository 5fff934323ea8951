"""The rules of this folder: `python -m unittest` here. Needs nothing but Python."""

import random
import statistics
import unittest

import chart
import compare
import noise
import table
import work

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
