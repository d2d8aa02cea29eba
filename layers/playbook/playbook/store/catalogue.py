"""The catalogue: (SKU, name, price in cents). Append only: another order changes every generated store."""

from typing import NamedTuple


class Product(NamedTuple):
    """An entry of the catalogue."""

    sku: str
    name: str
    cents: int


CATALOGUE: tuple[Product, ...] = tuple(
    Product(*entry)
    for entry in (
        ("TENT-01", "Breakwater Solo tent, 1 person", 21900),
        ("TENT-02", "Breakwater Duo tent, 2 persons", 32900),
        ("TENT-03", "Breakwater Clan tent, 4 persons", 48000),
        ("TENT-04", "Leeward tarp, 3 x 3 m", 6900),
        ("TENT-05", "Footprint for Duo tent", 3950),
        ("TENT-06", "Titanium pegs, set of 8", 2400),
        ("TENT-07", "Guy line, reflective, 20 m", 990),
        ("BAGS-01", "Dogwatch sleeping bag, 5 °C", 12000),
        ("BAGS-02", "Dogwatch sleeping bag, -5 °C", 18900),
        ("BAGS-03", "Down quilt, 0 °C", 24900),
        ("BAGS-04", "Silk liner", 4500),
        ("BAGS-05", "Inflatable pillow", 1990),
        ("MATS-01", "Foam mat, folding", 2990),
        ("MATS-02", "Air mat, regular", 8450),
        ("MATS-03", "Air mat, wide, insulated", 13900),
        ("MATS-04", "Patch kit", 650),
        ("PACK-01", "Daypack, 22 l", 5990),
        ("PACK-02", "Breakwater trekking pack, 48 l", 15900),
        ("PACK-03", "Breakwater trekking pack, 65 l", 18900),
        ("PACK-04", "Rain cover, 50 l", 2250),
        ("PACK-05", "Dry bag, 8 l", 1490),
        ("PACK-06", "Dry bag, 20 l", 2190),
        ("PACK-07", "Hip pouch", 2790),
        ("COOK-01", "Spirit stove", 3490),
        ("COOK-02", "Gas stove, folding", 4900),
        ("COOK-03", "Gas canister, 230 g", 790),
        ("COOK-04", "Pot set, anodised, 2 pieces", 4250),
        ("COOK-05", "Enamel mug", 1200),
        ("COOK-06", "Titanium spork", 950),
        ("COOK-07", "Folding knife", 3990),
        ("COOK-08", "Coffee dripper, collapsible", 1850),
        ("COOK-09", "Water filter", 4490),
        ("COOK-10", "Steel bottle, 1 l", 2700),
        ("COOK-11", "Food jar, 500 ml", 2950),
        ("LAMP-01", "Head torch, 350 lm", 3990),
        ("LAMP-02", "Head torch, rechargeable, 500 lm", 6490),
        ("LAMP-03", "Lantern, storm proof", 4000),
        ("LAMP-04", "Batteries AAA, pack of 8", 890),
        ("WEAR-01", "Rain jacket, women's", 14900),
        ("WEAR-02", "Rain jacket, men's", 14900),
        ("WEAR-03", "Fleece pullover", 7500),
        ("WEAR-04", "Merino shirt, long sleeve", 6900),
        ("WEAR-05", "Merino socks, pair", 1990),
        ("WEAR-06", "Trekking trousers", 8900),
        ("WEAR-07", "Woollen hat", 2490),
        ("WEAR-08", "Liner gloves", 1890),
        ("WEAR-09", "Gaiters", 3590),
        ("SHOE-01", "Trail shoes", 11900),
        ("SHOE-02", "Hiking boots, leather", 22900),
        ("SHOE-03", "Camp slippers, down", 4490),
        ("NAVI-01", "Compass with mirror", 3950),
        ("NAVI-02", "Map case, waterproof", 1690),
        ("NAVI-03", "Altimeter watch", 27900),
        ("NAVI-04", "Whistle", 450),
        ("BOAT-01", "Packraft", 79000),
        ("BOAT-02", "Paddle, 4 parts", 9900),
        ("BOAT-03", "Life vest", 8490),
        ("CARE-01", "Down wash, 300 ml", 1150),
        ("CARE-02", "Waterproofing spray", 1390),
        ("CARE-03", "Seam sealer", 850),
        ("CARE-04", "First-aid kit", 2890),
        ("CARE-05", "Repair tape", 690),
    )
)

BY_SKU = {product.sku: product for product in CATALOGUE}
