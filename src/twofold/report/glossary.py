"""What the words on the page mean, for a reader who meets them for the first time."""

GLOSSARY: tuple[tuple[str, str], ...] = (
    ("Reference", "Structures from the data that training never saw. Everything is measured against them."),
    (
        "Samples",
        "Independent structures drawn by the model: noise is turned into conformations, one by one, without dynamics.",
    ),
    (
        "Simulation",
        "Molecular dynamics with the force of the same model at the noise level σ*. If samples and simulation "  # noqa: RUF001
        "agree, the model's two uses rest on one and the same density.",
    ),
    (
        "Floor",
        "What a metric gives for reference against reference with as many effective frames. Finite data are never "
        "equal, so a perfect model scores the floor, not zero.",
    ),
    ("Ratio", "Metric divided by floor. Values near 1 mean that the difference is no larger than counting noise."),
    (
        "± error",
        "One standard error from a block jackknife: the data are cut into blocks of time or replicas, and each is "
        "left out in turn.",
    ),
    (
        "Effective frames",
        "How many independent, equally weighted frames would carry as much information: fewer than the frames when "
        "weights differ or when frames follow each other in a simulation. Then each metric has its own number, n, from "
        "how much replicas differ in it: bonds forget their past at once, the size of a chain does not.",
    ),
    (
        "Jensen-Shannon divergence (JS)",
        "Distance between two histograms in nats: 0 when equal, ln 2 = 0.69 when they do not overlap. Dominated by "
        "populated regions.",
    ),
    (
        "PMF error",
        "Mean squared difference of two free energies in kT², weighted by population. More sensitive to rare "
        "regions than JS.",
    ),
    (
        "Wasserstein-1",
        "How far, on average, a distribution has to be moved to become the other; in the unit of the quantity.",
    ),
    ("kT", "Thermal energy, 2.49 kJ/mol at 300 K. A difference of free energy of 1 kT is a factor 2.7 in population."),
    (
        "φ, ψ (Ramachandran)",
        "The two soft torsions of the backbone of a residue. Their joint free energy tells the conformations of a "
        "peptide.",
    ),
    (
        "σ*",  # noqa: RUF001
        "The noise level at which the model is used as a force field. It blurs the density a little: the variance of "
        "every coordinate of the model grows by σ*².",  # noqa: RUF001
    ),
    (
        "Wrong-handed, cis, clashes",
        "Shares of structures with the mirror image of a chiral centre, a flipped peptide bond, or beads closer "
        "than the data ever has them.",
    ),
    (
        "Stopped replica",
        "A replica that left the region of the data. It is stopped, its last good frames are kept, and it is "
        "counted here.",
    ),
)
