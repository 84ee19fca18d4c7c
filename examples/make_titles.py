"""Invents article titles in the styles of three publishers and writes them to ``titles.csv``.

    python -m examples.make_titles

The titles are generated from the patterns and words below; no real title, person, company or repository is used. The
three styles overlap on purpose: the subjects are the same, and one title in ten has a pattern that all publishers share.
So a classifier can be good, but not perfect.
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

TITLES = Path(__file__).with_name("titles.csv")
PUBLISHERS = ("github", "nytimes", "techcrunch")
TITLES_PER_PUBLISHER = 600
HELDOUT_SHARE = 0.15
SHARED_PATTERN_SHARE = 0.10
SEED = 20260101


@dataclass(frozen=True)
class Title:
    """One invented title."""

    title: str
    publisher: str
    """The publisher whose style it has; one of ``PUBLISHERS``."""


# Patterns of all publishers: they do not indicate one of them.
SHARED_PATTERNS = (
    "How {subject} Changed {field}",
    "Why {subject} Still Matters in {field}",
    "What We Learned From {number} Years of {subject}",
    "The Hidden Cost of {subject}",
    "{subject} Is Harder Than It Looks",
    "A Short History of {subject} in {field}",
    "The Case Against {subject}",
    "Rethinking {subject} for {field}",
    "{subject} Without the Hype",
    "Is {subject} Ready for {field}?",
)

PATTERNS: dict[str, tuple[str, ...]] = {
    "nytimes": (
        "In {place}, {people} {worry} About {issue}",
        "{official} {ruling} on {issue} After Months of {conflict}",
        "As {issue} {grows}, {people} in {place} Look for {answer}",
        "{people} {worry} as {issue} {grows} in {place}",
        "{surname}, {role} Who Fought for {answer}, Dies at {age}",
        "Opinion: We Are Asking the Wrong Questions About {issue}",
        "{official} {ruling} on {subject}, Citing {issue}",
        "They Left {place} for {place2}. Then Came {issue}.",
        "A Family in {place} Finds {answer} After {conflict}",
        "{number} Injured After {disaster} in {place}, {official} Says",
        "Review: A Quiet Novel of {conflict} and {answer}",
        "After {disaster}, {place} Asks Who Will Pay for {issue}",
        "What to Know About {issue} in {place}",
        "{place} Votes on {issue} in a Test for {official}",
        "For {people}, {subject} Brings More {issue} Than {answer}",
        "{official} Opens Inquiry Into {company} Over {issue}",
        "The Workers Behind {subject} Are Asking for {answer}",
        "How {company} Became a Symbol of {issue}",
    ),
    "github": (
        "{owner}/{tool}: {adjective} {language} {kind} for {purpose}",
        "{owner}/{tool}: {action} {target} from the command line",
        "{owner}/{tool}: {purpose} in pure {language}",
        "Show HN: {tool} – {adjective} {kind} for {purpose}",
        "Show HN: I wrote {article_kind} in {language} to {action_low} {target}",
        "{tool}: {article_adjective} {kind} written in {language}",
        "{tool} {version} released with support for {target}",
        "{tool}: {action_low} {target} in {small} lines of {language}",
        "{article_adjective} {language} {kind} for {purpose}",
        "Awesome {subject_low}: a curated list of {kind_plural}",
        "{language} bindings for {tool}",
        "{owner}/{tool}: {subject_low} for {language}, no dependencies",
        "Implementing {purpose} in {language}",
        "{action} {target} with {tool} and {language}",
        "A minimal {kind} for {purpose}, open source",
        "{subject_low}: {adjective} {kind} by {owner}",
        "{tool}, an open source alternative to {company}",
        "{kind_title} for {purpose}, now with {target}",
    ),
    "techcrunch": (
        "{company} raises ${amount}M {round} to {mission}",
        "{company} raises ${amount}M to bring {subject_low} to {market}",
        "{company} acquires {company2} to expand into {market}",
        "{company} launches {product} for {market}",
        "{company} lays off {percent}% of staff amid slowdown in {market}",
        "{company} wants to {mission}",
        "{company} is now valued at ${valuation}B after {round}",
        "{company}’s {product} takes on {company2}",
        "Former {company} executives launch {product} startup for {market}",
        "Investors bet on {subject_low} as money pours into {market}",
        "{company} files to go public, reveals ${amount}M in losses",
        "{company} opens {product} to all developers",
        "This startup wants to {mission}",
        "{company} partners with {company2} on {subject_low}",
        "{company} confirms data breach affecting {amount} million users",
        "The {round} is back: what founders in {market} should know",
        "{surname} steps down as {company} CEO",
        "{company} brings {subject_low} to its {product}",
    ),
}

_WORD_LISTS = {
    "subject": (
        "Machine Learning, Open Source, Encryption, Remote Work, Cloud Computing, Robotics, Electric Cars, Facial "
        "Recognition, Online Privacy, Self-Driving Software, Digital Maps, Video Games, Solar Power, Search "
        "Engines, Voice Assistants, Drones, Chatbots, Satellite Internet, Quantum Computing, Battery Storage, "
        "Online Advertising, Streaming, Data Centers, Password Managers"
    ),
    "field": (
        "Education, Health Care, Banking, Journalism, Farming, Small Business, Science, City Life, Government, "
        "Software, Energy, Retail, Transportation, Research, Media, the Workplace"
    ),
    "place": (
        "Ohio, Lisbon, Nairobi, Queens, Montana, Warsaw, Manila, Vermont, Jakarta, Lima, Arizona, Dakar, "
        "Brooklyn, Naples, Oslo, Louisiana, Hanoi, Quebec, New Mexico, Athens"
    ),
    "people": (
        "Teachers, Farmers, Nurses, Parents, Voters, Tenants, Students, Retirees, Fishermen, Bus Drivers, "
        "Librarians, Immigrants, Shop Owners, Neighbors, Musicians, Engineers, Delivery Workers, Developers"
    ),
    "worry": "Worry, Argue, Ask, Grow Anxious, March, Stay Silent, Speak Out, Disagree",
    "issue": (
        "Rising Rents, School Budgets, Drinking Water, Election Rules, Heat Waves, Police Cameras, Surveillance, "
        "Hospital Closures, Wildfire Smoke, Child Care, Prison Reform, Data Privacy, Border Policy, Flooding, "
        "Public Transit, Misinformation, Food Prices, Layoffs, Automation, Air Quality, Trade Tariffs"
    ),
    "grows": "Grows, Spreads, Deepens, Returns, Fades, Reaches a Breaking Point",
    "answer": "Relief, Hope, Justice, Answers, a Way Home, Dignity, Better Pay, Common Ground, Shelter",
    "conflict": "Debate, Protest, Silence, Grief, Litigation, War, Negotiation, Exile, Doubt",
    "official": (
        "Judge, Senate, Mayor, Governor, Supreme Court, City Council, Federal Agency, Parliament, Prosecutor, "
        "Health Minister, State Legislature, Union"
    ),
    "ruling": "Rules, Delays Vote, Reaches Deal, Retreats, Holds Hearing, Splits, Weighs Limits",
    "role": "Poet, Senator, Activist, Architect, Physicist, Conductor, Historian, Programmer, Surgeon",
    "disaster": "Earthquake, Train Derailment, Storm, Factory Fire, Bridge Collapse, Landslide, Blackout",
    "surname": (
        "Halloran, Osei, Lindqvist, Marchetti, Tanaka-Reyes, Whitcombe, Adeyemi, Kowalczyk, Brandvold, "
        "Castellanos, Pemberton, Nakagawa, Delacroix, Oyelaran, Strand, Vasquez-Hale"
    ),
    "owner": (
        "kettleworks, mirabel, octofern, lowtide, papercrane, nullharbor, tinyforge, bluewren, quietloop, "
        "saltbyte, hexgarden, oldmill, farlight, gristmill, unixowl, rbarrow, jmoss, pixelpond"
    ),
    "tool": (
        "tarn, quill, ferrous, gopherd, loom, sieve, pebble, rivet, skein, thicket, minnow, cobble, dovetail, "
        "larkspur, snowdb, tidepool, wick, zephyrus, ember, latchkey, hopper, mortar, birch, sparrow"
    ),
    "language": "Rust, Go, Python, C, TypeScript, Haskell, Zig, Elixir, JavaScript, OCaml, Ruby, Lua",
    "kind": (
        "library, parser, CLI, server, framework, editor plugin, compiler, database, proxy, template engine, task "
        "runner, terminal UI, emulator, static site generator, key-value store, linter, client"
    ),
    "kind_title": "Docker images, A test suite, Vim plugin, A toolkit, Bash scripts, A starter kit, Config files",
    "kind_plural": "libraries, tools, papers, resources, frameworks, tutorials, command line tools",
    "article_kind": "a parser, a tiny server, an emulator, a compiler, a database, a CLI, an editor, a proxy",
    "adjective": "fast, minimal, tiny, lock-free, zero-dependency, self-hosted, embeddable, type-safe, async",
    "article_adjective": "A fast, A minimal, A tiny, A self-hosted, A type-safe, An embeddable, A simple",
    "purpose": (
        "log search, HTTP routing, time series, image resizing, Markdown rendering, background jobs, feature "
        "flags, full-text search, static analysis, vector math, dotfiles, SSH tunnels, JSON validation, GPU "
        "shaders, message queues, machine learning, encrypted backups, schema migrations, game servers, speech "
        "recognition"
    ),
    "action": "Query, Diff, Convert, Profile, Visualize, Sync, Encrypt, Monitor, Generate, Benchmark",
    "action_low": "query, diff, convert, profile, visualize, sync, encrypt, monitor, generate, benchmark",
    "target": (
        "Postgres tables, CSV files, Docker containers, Git repositories, Kubernetes pods, PDF documents, SQLite, "
        "Parquet files, log streams, WebAssembly, REST APIs, S3 buckets, ONNX models, flame graphs, Jupyter"
    ),
    "version": "1.0, 2.0, v0.9, v3.1, 4.0-rc1, v1.12, 0.4.0",
    "small": "50, 100, 200, 300, 500, 1000",
    "company": (
        "Lumenpay, Orbitly, Nestworthy, Fieldnote, Brightcart, Kindling, Parcelo, Vaultera, Medlane, Tidewise, "
        "Roamly, Skyladder, Furrowly, Hirebase, Gearloop, Clausely, Stackwell, Voxmere Labs, Pantrio, Ampelo"
    ),
    "round": "Series A, Series B, Series C, seed round, growth round",
    "mission": (
        "automate accounting, fix freight, replace the spreadsheet, simplify payroll, make batteries cheaper, "
        "reinvent insurance claims, help shops sell online, speed up drug discovery, secure the supply chain, make "
        "data teams faster, rebuild the mortgage, deliver groceries by drone, give doctors their time back, turn "
        "voice calls into data, monitor crops from orbit, automate code review"
    ),
    "market": (
        "fintech, small businesses, enterprises, Southeast Asia, e-commerce, health tech, Latin America, "
        "developers, the creator economy, logistics, edtech, climate tech, restaurants, real estate, security"
    ),
    "product": (
        "checkout app, API platform, credit card, marketplace, developer tools, AI assistant, analytics suite, "
        "delivery service, smart speaker, subscription service, mobile app, design tool, cloud service"
    ),
    "number": "Three, Five, Ten, 12, 20, Seven, 40, Two",
    "age": "71, 78, 83, 86, 89, 91, 94, 102",
    "amount": "4, 7, 12, 18, 25, 30, 42, 60, 85, 110, 150",
    "valuation": "1, 1.4, 2, 3.2, 5, 8",
    "percent": "5, 8, 10, 12, 15, 20, 30",
}
WORDS = {slot: tuple(words.split(", ")) for slot, words in _WORD_LISTS.items()}

_SLOT = re.compile(r"{(\w+)}")
# Slots that use the words of another slot: in lower case, or for a second word in the same title.
_SAME_WORDS = {"subject_low": "subject", "place2": "place", "company2": "company"}


def invent(publisher: str, chooser: random.Random) -> str:
    """Return one title in the style of ``publisher``."""
    shared = chooser.random() < SHARED_PATTERN_SHARE
    pattern = chooser.choice(SHARED_PATTERNS if shared else PATTERNS[publisher])
    used: set[str] = set()

    def fill(slot: re.Match[str]) -> str:
        name = slot[1]
        words = [word for word in WORDS[_SAME_WORDS.get(name, name)] if word not in used]
        word = chooser.choice(words)
        used.add(word)
        return word.lower() if name.endswith("_low") else word

    return _SLOT.sub(fill, pattern)


def endless_titles(seed: int) -> Iterator[Title]:
    """Yield different titles, by turns for each publisher; the same ``seed`` gives the same titles."""
    chooser = random.Random(seed)
    seen: set[str] = set()
    while True:
        for publisher in PUBLISHERS:
            title = invent(publisher, chooser)
            while title in seen:
                title = invent(publisher, chooser)
            seen.add(title)
            yield Title(title, publisher)


def make_rows() -> list[dict[str, str]]:
    """Return the rows of ``titles.csv``: title, publisher and split (``train`` or ``heldout``)."""
    chooser = random.Random(SEED + 1)
    return [
        {
            "title": title.title,
            "publisher": title.publisher,
            "split": "heldout" if chooser.random() < HELDOUT_SHARE else "train",
        }
        for title in islice(endless_titles(SEED), TITLES_PER_PUBLISHER * len(PUBLISHERS))
    ]


def write_titles(path: Path) -> None:
    """Write the rows as CSV to ``path``."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["title", "publisher", "split"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(make_rows())


if __name__ == "__main__":
    write_titles(TITLES)
    print(f"{TITLES.name}: {TITLES_PER_PUBLISHER * len(PUBLISHERS)} titles")
