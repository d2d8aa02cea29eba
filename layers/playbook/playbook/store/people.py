"""Names and places to make customers of. Invented; addresses are at example.com."""

GIVEN = (
    "Aaliyah", "Ben", "Chiara", "Dmitri", "Eszter", "Fatima", "Georg", "Hana", "Íñigo", "Jamal", "Katarzyna", "Liam",
    "Mei", "Noor", "Oluwaseun", "Priya", "Quentin", "Renée", "Søren", "Thandiwe", "Uma", "Víctor", "Wanda", "Ximena",
    "Yuki", "Zsófia",
)  # fmt: skip

FAMILY = (
    "Adeyemi", "Bianchi", "Çelik", "Dubois", "Evans", "Fernández", "García", "Haddad", "Ivanov", "Jørgensen",
    "Kowalski", "López", "Müller", "Nguyễn", "O'Brien", "Patel", "Quigley", "Rossi", "Şahin", "Tanaka", "Usman",
    "Van den Berg", "Wójcik", "Xu", "Yılmaz", "Žižek",
)  # fmt: skip

STREETS = ("Main Street", "Oak Avenue", "Mill Lane", "Station Road", "Harbor Drive", "Church Street", "Elm Court")

#: city, start of the postal code, country
PLACES = (
    ("Portland", "041", "US"),
    ("Boston", "021", "US"),
    ("Seattle", "981", "US"),
    ("Duluth", "558", "US"),
    ("Halifax", "B3H ", "CA"),
    ("Hamburg", "204", "DE"),
    ("Gdańsk", "80-", "PL"),
    ("Łódź", "90-", "PL"),
    ("A Coruña", "150", "ES"),
)

CUSTOMER_NOTES = (
    "Please leave it with the neighbour at number 7.",
    "It is a present: no invoice in the box, please!",
    "Bitte nicht klingeln, das Baby schläft.",
    "Ring the bell twice 🔔🔔",
    "If the green one is out of stock, take the blue one.",
)

DESK_NOTES = ("Prefers e-mail.", "Calls back in the evening.", "Had a damaged parcel last year.", "Logbook member.")
