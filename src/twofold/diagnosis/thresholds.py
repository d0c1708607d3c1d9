"""Where each check draws its lines, and why there.

A line is drawn from what an error does (an energy that is off by x kT changes a population by the factor e^x), from
the arithmetic (float32), or from what other programs tolerate; where it is a judgement, it says so.
"""

from twofold.diagnosis.checks import Threshold

EXACT = Threshold(
    1e-3,
    1e-2,
    "float32: rounding alone gives 1e-6 to 1e-3 of a force; what is not symmetric by construction gives more",
)
LEARNED = Threshold(0.05, 0.2, "a judgement: symmetry that was learned is never exact; 5 % is far below thermal noise")
CURL = Threshold(
    1e-3,
    2e-2,
    "float32: rounding alone gives 1e-6 to 1e-3; a force that is no gradient gives up to 1, whatever its size",
)
ENERGY_KT = Threshold(0.05, 0.5, "populations: an energy that is off by x kT changes a population by the factor e^x")
BASIN = Threshold(0.15, 0.5, "populations: odds that are off by x kT are off by the factor e^x; 0.15 is 16 %")
LINE_INTEGRAL = Threshold(
    1e-2, 5e-2, "quadrature and float32 alone give 1e-4 to 1e-2; a score that is no gradient of the energy gives more"
)
RESIDUAL = Threshold(
    0.2, 0.5, "a judgement: 0 if the two terms cancel as they should, 1 if they have nothing to do with each other"
)
OVERFIT_NATS = Threshold(
    0.1, 0.5, "likelihood: Song et al. 2021 bound the divergence by this integral; 0.1 nats are 0.1 kT a frame"
)
FLOOR_NATS = Threshold(
    0.05,
    0.25,
    "measured: long fits of the benchmarks are 0.001 to 0.005 nats worse, those of a few dozen updates 0.7 to 1.2",
)
TEMPERATURE = Threshold(0.02, 0.05, "a judgement: 2 % of kT is 6 K at 300 K, the size of the thermostat's own error")
BOND_WIDTH = Threshold(0.02, 0.05, "a judgement: as for the temperature, 2 % in width is 4 % in the energy of a bond")
DRIFT_KJ_PS = 0.005
"""GROMACS tolerates this drift for each particle (verlet-buffer-tolerance, kJ/mol/ps)."""
EDGE_SOURCE = (
    "the levels that were looked at: a least loss at the last of them is no minimum, and fails; at the first, where "
    "blur is least, it is doubtful"
)
NO_STEP_SOURCE = "stability: a mode of frequency w explodes from w dt = 2 on; not even the shortest step is below that"
BLUR = Threshold(0.10, 0.50, "a judgement: bonds wider by 10 % are hardly softer; by 50 % they are another force field")
TRANSITIONS_SOURCE = (
    "floor: twice (fails: five times) what the halves of the reference differ by, but at least 0.001 (0.01) nats; "
    "published values for chignolin are about 0.0002 (Plainer et al. 2025)"
)
RATES = Threshold(
    0.22, 0.69, "barriers: a rate that is off by the factor e^x is a barrier off by x kT; 0.22 is 25 %, 0.69 a factor 2"
)
HANDEDNESS_SOURCE = (
    "to be exceeded; a judgement: phi of an amino acid with a hand is nearly always negative, which is far beyond it"
)
MIRROR_SOURCE = (
    "information: with the right energy the mean gap is the divergence KL(p || mirrored p), which is at least that of "
    "the distribution of any single torsion of the data"
)
