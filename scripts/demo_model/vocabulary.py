"""The words of the demo CLIP: ways to say every class, and words that go with anything."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.demo_model.looks import COLOURS


@dataclass(frozen=True)
class Words:
    """Ways to say a look: before a noun, as a substance, and joining words for the substance."""

    adjectives: tuple[str, ...]
    nouns: tuple[str, ...]
    joins: tuple[str, ...] = ("made of", "made out of", "of", "made from")


COVER = ("covered in", "covered with", "made of", "full of", "of")
PRINT = ("with", "covered in", "painted with", "with a pattern of")
SKIN = ("with", "covered in", "wearing", "made of")

_NAMED: dict[str, Words] = {
    "gold": Words(
        ("golden", "gold", "shiny gold", "gilded", "gold plated"),
        ("gold", "shiny gold", "polished gold", "solid gold"),
    ),
    "silver": Words(
        ("silver", "shiny silver", "chrome", "metallic", "mirror"),
        ("silver", "polished silver", "chrome", "steel", "metal"),
    ),
    "copper": Words(("copper", "bronze", "shiny copper"), ("copper", "bronze", "polished copper")),
    "rust": Words(("rusty", "rusted", "corroded"), ("rust", "rusty metal", "rusted iron"), COVER),
    "wood": Words(("wooden", "wood", "timber"), ("wood", "carved wood", "dark wood", "oak wood")),
    "marble": Words(("marble", "white marble"), ("marble", "polished marble", "white marble")),
    "stone": Words(
        ("stone", "rock", "rocky", "cobblestone"),
        ("stone", "rock", "rocks", "stones", "cobblestones"),
    ),
    "grass": Words(("grassy", "grass"), ("grass", "green grass", "lawn"), COVER),
    "moss": Words(("mossy", "moss covered", "moss"), ("moss", "green moss"), COVER),
    "leaves": Words(
        ("leafy", "leaf covered"), ("leaves", "foliage", "ivy", "autumn leaves"), COVER
    ),
    "flowers": Words(
        ("flowery", "floral", "flower covered", "blooming"),
        ("flowers", "blossoms", "colorful flowers", "daisies"),
        COVER,
    ),
    "water": Words(("watery", "water", "liquid"), ("water", "clear water", "blue water", "waves")),
    "ice": Words(("ice", "icy", "frozen"), ("ice", "cracked ice", "blue ice", "frozen ice")),
    "snow": Words(("snowy", "snow covered", "snow"), ("snow", "white snow", "fresh snow"), COVER),
    "lava": Words(("lava", "molten", "volcanic"), ("lava", "molten lava", "glowing lava", "magma")),
    "fire": Words(
        ("fiery", "flaming", "burning", "blazing"),
        ("fire", "flames", "burning fire"),
        ("made of", "on", "covered in", "of"),
    ),
    "clouds": Words(
        ("cloudy", "cloud"), ("clouds", "white clouds", "cloudy sky"), ("made of", "of", "full of")
    ),
    "crystal": Words(
        ("crystal", "gem", "diamond", "crystalline"),
        ("crystal", "crystals", "gems", "diamonds", "amethyst"),
    ),
    "leopard": Words(
        ("leopard print", "leopard", "leopard patterned", "leopard skin"),
        ("leopard print", "leopard fur", "leopard spots"),
        SKIN,
    ),
    "zebra": Words(
        ("zebra print", "zebra", "zebra striped", "zebra patterned"),
        ("zebra print", "zebra stripes", "zebra fur"),
        SKIN,
    ),
    "tiger": Words(
        ("tiger print", "tiger", "tiger striped", "tiger patterned"),
        ("tiger print", "tiger stripes", "tiger fur"),
        SKIN,
    ),
    "giraffe": Words(
        ("giraffe print", "giraffe", "giraffe patterned"),
        ("giraffe print", "giraffe skin", "giraffe patches"),
        SKIN,
    ),
    "stars": Words(
        ("starry", "starry night", "galaxy", "cosmic"),
        ("stars", "starry night sky", "the night sky", "galaxy", "galaxies"),
        ("made of", "full of", "with", "of"),
    ),
    "sand": Words(("sandy", "sand"), ("sand", "desert sand", "yellow sand")),
    "brick": Words(("brick", "red brick"), ("brick", "bricks", "red bricks")),
    "stained glass": Words(
        ("stained glass", "colored glass"), ("stained glass", "colored glass", "glass panes")
    ),
    "mosaic": Words(
        ("mosaic", "mosaic tiled", "tessellated"),
        ("mosaic", "mosaic tiles", "small tiles", "a mosaic of small tiles"),
    ),
    "leather": Words(
        ("leather", "brown leather"), ("leather", "brown leather", "stitched leather")
    ),
    "denim": Words(("denim", "blue denim", "jeans"), ("denim", "denim fabric", "blue jeans")),
    "wool": Words(
        ("knitted", "woolen", "wool", "knit"),
        ("wool", "knitted wool", "yarn", "knitted fabric"),
    ),
    "polka dots": Words(
        ("polka dot", "dotted", "spotted"), ("polka dots", "dots", "round dots"), PRINT
    ),
    "stripes": Words(
        ("striped", "stripy"), ("stripes", "straight stripes", "colored stripes"), PRINT
    ),
    "checkerboard": Words(
        ("checkered", "checkerboard", "chessboard"),
        ("a checkerboard pattern", "checkers", "checkerboard squares"),
        PRINT,
    ),
    "rainbow": Words(
        ("rainbow", "rainbow colored", "multicolored"),
        ("rainbow", "rainbow colors", "all the colors of the rainbow"),
        ("painted in", "with", "in", "made of"),
    ),
    "neon": Words(
        ("neon", "neon lit", "glowing neon"),
        ("neon", "neon lights", "neon light"),
        ("made of", "with", "of", "lit by"),
    ),
    "chocolate": Words(
        ("chocolate", "milk chocolate", "dark chocolate"),
        ("chocolate", "milk chocolate", "dark chocolate", "melted chocolate"),
    ),
    "frost": Words(
        ("frosty", "frosted", "frost covered"),
        ("frost", "frost crystals", "white frost", "frost ferns"),
        COVER,
    ),
    "smoke": Words(
        ("smoky", "smoke", "smoking"),
        ("smoke", "dark smoke", "grey smoke", "curling smoke"),
        ("made of", "made out of", "of", "full of"),
    ),
    "fog": Words(
        ("foggy", "misty", "fog", "hazy"),
        ("fog", "mist", "pale fog", "thick fog", "haze"),
        ("made of", "made out of", "of", "full of"),
    ),
    "glass": Words(
        ("glass", "clear glass", "transparent", "glassy"),
        ("glass", "clear glass", "transparent glass", "shiny glass"),
    ),
    "crochet": Words(
        ("crochet", "crocheted"),
        ("crochet", "crochet lace", "crochet loops", "granny squares"),
    ),
    "candy": Words(
        ("candy", "sugary", "sweet"),
        ("candy", "candies", "sweets", "sugar", "lollipops", "sprinkles"),
    ),
    "origami": Words(
        ("origami", "paper", "folded paper"),
        ("origami", "folded paper", "paper", "origami paper"),
    ),
    "graffiti": Words(
        ("graffiti", "spray painted", "graffiti covered"),
        ("graffiti", "spray paint", "colorful graffiti", "street art"),
        ("covered in", "covered with", "painted with", "with"),
    ),
    "feathers": Words(
        ("feathery", "feathered", "feather"),
        ("feathers", "soft feathers", "plumage", "plumes"),
        COVER,
    ),
    "concrete": Words(
        ("concrete", "cement", "bare concrete"),
        ("concrete", "cement", "raw concrete", "grey concrete"),
    ),
    "planks": Words(
        ("planked", "boarded", "plank"),
        ("planks", "boards", "old planks", "wood siding"),
        ("made of", "covered in", "built of", "made from"),
    ),
    "bark": Words(("bark", "bark covered", "barky"), ("bark", "tree bark", "rough bark"), COVER),
    "terrazzo": Words(
        ("terrazzo", "speckled stone", "terrazzo tiled"),
        ("terrazzo", "polished terrazzo", "speckled stone"),
    ),
    "tiles": Words(
        ("tile", "ceramic", "porcelain tile"),
        ("ceramic tiles", "bathroom tiles", "square tiles", "glazed tiles"),
        COVER,
    ),
    "metal plate": Words(
        ("diamond plate", "steel plate", "checker plate"),
        ("diamond plate", "steel plates", "sheet metal", "checker plate"),
    ),
    "roof tiles": Words(
        ("shingled", "roof tiled", "roof tile"),
        ("roof tiles", "shingles", "clay roof tiles", "a tiled roof"),
        COVER,
    ),
    "gravel": Words(
        ("gravel", "pebbly", "gravelly"), ("gravel", "pebbles", "small stones", "grit"), COVER
    ),
    "tartan": Words(
        ("tartan", "plaid", "tartan patterned"),
        ("tartan", "plaid", "tartan fabric", "a tartan pattern", "a plaid pattern"),
        ("made of", "covered in", "with", "of"),
    ),
}
_SHADES = {
    "red": ("scarlet", "crimson"),
    "purple": ("violet",),
    "pink": ("rose colored",),
    "grey": ("gray",),
    "orange": (),
    "blue": ("navy blue",),
    "white": (),
    "black": ("jet black",),
    "brown": (),
    "yellow": (),
    "green": (),
}

LOOK_WORDS: dict[str, Words] = {
    **{
        c: Words(
            (c, f"{c} colored", f"{c} coloured", f"plain {c}", *_SHADES[c]),
            (c, f"{c} paint", f"{c} color"),
            ("painted in", "in", "painted", "covered in"),
        )
        for c in COLOURS
    },
    **_NAMED,
}
THING_WORDS: dict[str, tuple[str, ...]] = {
    "ball": ("ball", "disc", "circle", "sphere", "globe"),
    "box": ("box", "cube", "square", "block"),
    "star": ("star", "five pointed star"),
    "heart": ("heart", "love heart"),
    "triangle": ("triangle", "pyramid"),
    "ring": ("ring", "donut", "torus"),
    "moon": ("moon", "crescent"),
    "swan": ("swan", "goose"),
    "bird": ("bird", "sparrow"),
    "fish": ("fish", "goldfish"),
    "cat": ("cat", "kitten"),
    "dog": ("dog", "puppy"),
    "horse": ("horse", "pony"),
    "car": ("car", "automobile"),
    "boat": ("boat", "sailboat", "ship"),
    "tree": ("tree", "pine tree", "palm tree"),
    "house": ("house", "home"),
    "cup": ("cup", "mug"),
    "bottle": ("bottle", "wine bottle"),
    "chair": ("chair", "armchair"),
    "hat": ("hat", "cowboy hat", "top hat"),
    "cake": ("cake", "birthday cake", "slice of cake"),
    "person": ("person", "man", "woman", "girl"),
    "camel": ("camel", "dromedary"),
    "bicycle": ("bicycle", "bike"),
    "flower": ("flower", "tulip", "sunflower"),
    "umbrella": ("umbrella", "parasol"),
    "mushroom": ("mushroom", "toadstool"),
    "guitar": ("guitar", "electric guitar"),
}
MODIFIERS = (
    "very old", "old", "new", "brand new", "big", "very big", "small", "little", "large", "giant",
    "huge", "tiny", "beautiful", "pretty", "nice", "lovely", "cute", "realistic", "detailed",
    "highly detailed", "modern", "ancient", "antique", "worn", "dirty", "clean", "wet", "dry",
    "strange", "magical", "whole", "single", "real", "fine", "elegant", "smooth", "rough",
    "bright", "dark", "light", "soft", "heavy", "warm", "cold", "colorful", "colourful", "my",
    "this", "cool", "amazing", "perfect", "fantasy", "dark and old", "big and heavy", "stylish",
)  # fmt: skip
"""Said of anything: words that prompts have and that no class depends on."""
ENDINGS = (
    "in summer", "in spring", "by day", "in daylight", "in the sun", "in bright light",
    "in soft light", "up close", "highly detailed", "photorealistic", "high quality", "4k",
    "in a movie", "from the side", "from above", "looking left", "standing there", "cinematic",
    "in the morning", "and nothing else", "as it is", "like this", "with all its details",
    "for a film", "in this style", "in color", "in colour", "at sunset",
)  # fmt: skip
"""Said after anything."""
MODIFIED, ENDED = 0.22, 0.12
"""Shares of sentences with such words."""
TURNS = ("turned to ", "turned into ", "that looks like ", "completely ", "all ")
"""Said before a material, in one sentence of ten."""
SURFACES = ("texture", "surface", "pattern", "background", "material")
ANY_THING = ("object", "thing", "shape", "figure", "statue", "toy")
BACKGROUND_WORDS: dict[str, tuple[str, ...]] = {
    "meadow": ("on grass", "in a meadow", "on a green lawn", "in a field", "in the countryside"),
    "sky": ("in the sky", "in front of a cloudy sky", "against a blue sky"),
    "sea": ("on the sea", "in the ocean", "on a lake", "by the sea", "on water"),
    "desert": ("in the desert", "in a desert", "on sand dunes", "on a sandy beach"),
    "forest": ("in a forest", "in the woods", "among trees"),
    "city": ("in a city", "in the city", "on a city street", "in front of buildings"),
    "night": ("at night", "under a starry sky", "in front of the night sky", "in space"),
    "snowfield": ("in the snow", "on a snowy field", "in winter", "in a snowy landscape"),
    "mountains": ("in the mountains", "in front of mountains", "before snowy mountains"),
    "brick wall": (
        "in front of a brick wall",
        "against a brick wall",
        "on a brick wall",
        "on bricks",
    ),
    "wood floor": ("on a wooden floor", "on a wooden table", "on wood"),
    "room": ("in a room", "indoors", "inside a room"),
    "plain": ("on a plain background", "in a studio", "on a simple background"),
    "green screen": (
        "over a green screen",
        "in front of a green screen",
        "on a green screen",
        "over green screen",
    ),
    "autumn": ("in autumn", "in an autumn forest", "in a park in autumn", "among autumn trees"),
}
SCENE_WORDS: dict[str, tuple[str, ...]] = {
    "meadow": ("meadow", "grass field", "countryside"),
    "sky": ("sky", "cloudy sky", "blue sky"),
    "sea": ("sea", "ocean", "lake"),
    "desert": ("desert", "sand dunes"),
    "forest": ("forest", "woods"),
    "city": ("city", "city street", "buildings"),
    "night": ("night sky", "starry sky", "space"),
    "snowfield": ("winter landscape", "snowy field", "winter"),
    "mountains": ("mountains", "mountain landscape"),
    "brick wall": ("brick wall", "wall of bricks"),
    "wood floor": ("wooden floor", "wooden table"),
    "room": ("room", "empty room"),
    "plain": ("plain background", "empty background"),
    "green screen": ("green screen", "empty green screen"),
    "autumn": ("autumn", "autumn forest", "autumn landscape", "park in autumn"),
}
EFFECT_WORDS: dict[str, tuple[str, ...]] = {
    "snowing": ("in falling snow", "with snow falling", "in a snow storm", "with snowflakes"),
    "raining": ("in the rain", "with heavy rain", "in a rain storm", "on a rainy day"),
    "foggy": ("in the fog", "in thick fog", "in mist", "on a foggy day"),
    "smoky": ("with smoke", "in a cloud of smoke", "behind smoke", "with rising smoke"),
    "burning": ("on fire", "with flames around", "behind flames", "with fire below"),
}
