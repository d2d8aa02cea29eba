"""Forms of keys and tokens, words for secrets in several languages, and what stands in their place. Pure.

``marked`` turns each word into one mark, so that the rules of ``secrets`` need no language.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from functools import lru_cache

from ballast.secret_scan.readings import latin, spelled

# Forms: no other text has them.
_B = r"(?<![A-Za-z0-9])"


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


#: Prefixes that mean nothing else.
_PREFIXES = "|".join(
    _listed(r"""
    gh[opusr]_ github_pat_ gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas)- xox[a-z](?:\.xox[a-z])?- xapp- whsec_
    shp(?:at|ca|pa|ss)_ sq0(?:atp|csp|idp)- d[oop]{2}_v1_ hf_ sk-ant- sk-proj- sk-or- sk-lf- npm_ pypi- AIza ya29\.
    GOCSPX- dckr_pat_ figd_ PMAK- NRAK- NRJS- glsa_ glc_ hv[sbr]\. pul- sntry[su]_ rubygems_ dp\.(?:pt|st|ct)\.
    lin_api_ lin_oauth_ ntn_ nvapi- gsk_ pplx- xai- tvly- pcsk_ lsv2_(?:pt|sk)_ ph[cx]_ sbp_ sb_secret_ xkeysib-
    ATATT3 ATBB HRKU- AGE-SECRET-KEY-1 FLWSECK EAACEdEose0cBA amzn\.mws\. bedrock-api-key- ABSK CFPAT- duffel_
    shippo_ tfp_ fm[12]_ dapi r8_ nfp_ rnd_ fo1_ vercel_ ops_eyJ PuTTY-User-Key-File
    """)
)
#: Prefixes that may begin a name, too: what follows must look random.
_AMBIGUOUS = r"(?:sk|rk|pk)_(?:live|test)_|(?:sk|rk|pk|pat|key|secret|api|tok)[-_]|SG\.|co_|jina_|fw_|pa-|oy2|cio"
AMBIGUOUS = re.compile(rf"{_B}(?:{_AMBIGUOUS})([A-Za-z0-9._-]{{16,}})")
FORMS = tuple(
    (name, re.compile(form))
    for name, form in (
        ("a private key", r"-----BEGIN[A-Z0-9 ]*PRIVATE KEY"),
        ("an AWS access key", rf"{_B}(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{{16}}(?![A-Za-z0-9])"),
        ("an AWS access key", rf"(?i){_B}(?:akia|asia|abia|acca)(?=[a-z]*[0-9])[a-z0-9]{{16}}(?![a-z0-9])"),
        ("a JSON Web Token", r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.?[A-Za-z0-9_-]*"),
        ("a service's token", rf"{_B}(?:{_PREFIXES})[A-Za-z0-9._~+/=-]{{10,}}"),
        ("a messenger's token", rf"{_B}[0-9]{{8,10}}:[A-Za-z0-9_-]{{35}}(?![A-Za-z0-9_-])"),
        ("a messenger's token", rf"{_B}[MNO][A-Za-z0-9_-]{{23,25}}\.[A-Za-z0-9_-]{{6}}\.[A-Za-z0-9_-]{{27,}}"),
        ("a mail service's key", rf"{_B}(?:SG\.[\w-]{{16,}}\.[\w-]{{16,}}|[0-9a-f]{{32}}-us[0-9]{{1,2}})"),
        ("a telephone service's key", rf"{_B}(?:SK|AC)[0-9a-f]{{32}}(?![A-Za-z0-9])"),
        ("a cloud's client secret", r"(?<![A-Za-z0-9_~.-])[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}"),
        ("a PIN", rf"(?i){_B}pin[0-9]{{4,8}}(?![A-Za-z0-9])"),
        ("a password of a command", r"(?:^|\s)(?:-u|--user)[ =]?[^\s:]+:[^\s]{3,}"),
        ("a password of a command", r"(?:^|\s)-p(?=[^\s]*[0-9A-Z!])[^\s-][^\s]{5,}"),
        ("a cookie", r"(?i)(?<![a-z])(?:set-)?cookie\s*[:=]\s*[\w.-]+=[^\s;]{3,}"),
        ("a signed URL", r"(?i)[?&](?:sig|signature|x-amz-signature|x-goog-signature)=[^&\s]{16,}"),
        ("a webhook's URL", r"(?i)hooks\.[a-z.]+/(?:services|workflows|triggers)/[A-Za-z0-9_/-]{16,}"),
        ("a password in a URL", r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@?#]*:[^\s/@]{3,}@"),
        ("an authorization", r"(?i)\b(?:bearer|basic|digest|negotiate|token)\s+(?=[^\s]*[0-9A-Z=])[\w.~+/=-]{16,}"),
    )
)
#: Forms that are sure enough to be looked for where white space was put between the letters.
SQUEEZED = re.compile(
    r"(?<![A-Za-z])(?i:p[a4@][s5$]{2}w[o0]r[dt])[:=]+(?=[^\W_]{4})(?!(?i:stand-in|sealed|reset|your|the|none|null|please))|"
    r"-----BEGIN[A-Z0-9]*PRIVATEKEY|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}|eyJ[A-Za-z0-9_-]{6,}\.eyJ[A-Za-z0-9_-]{4,}|"
    r"gh[opusr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[a-z]-[A-Za-z0-9-]{20,}"
)

# Words
#: A word for a secret; one for access, near which only a value that looks random is one; one for a number.
SURE, WEAK, DIGITS = "\ue000", "\ue001", "\ue002"
MARKS = SURE + WEAK + DIGITS
#: Also within a longer word: userpassword, DB_PASSWORD, Zugangspasswort.
_INSIDE = "|".join(
    (
        r"p[a4@][s5$]{2}[ _-]?(?:w[o0]r[dt]|wrd|wd|phrase|code)[s5]?|kenn?w[o0]rt|losungswort|geheimnis|geheimwort",
        r"zugangs(?:daten|code|wort)|contrasen(?:y?a|h)s?|mots? de passe|palavra-?passe|wachtwoord|losenord|passord",
        r"adgangskode|salasana|jelszo|lozinka|slaptazod|sifre|haslo|heslo|parola|mat khau|kata ?sandi",
        r"пароль|пароли|пароля|паролем|κωδικος|συνθηματικο|密码|密碼|口令|パスワード|暗証番号|비밀번호|암호",
        r"كلمة المرور|كلمة السر|סיסמה|סיסמא|รหัสผ่าน|पासवर्ड",
        r"(?:api|access|secret|private|signing|encryption|account|master|session|auth|service|ssh|shared|storage|license)"
        r"[ _-]?(?:access[ _-]?)?(?:keys?|schlussel|secrets?|tokens?)|(?:zugangs|geheim|api|privater? )-?schlussel",
        r"cles? (?:api|secrete|privee|d.acces)|claves? (?:secreta|privada|de acceso|api)|chiave (?:segreta|privata)",
        r"credentials?|authori[sz]ation|session[ _-]?id|sessid|(?:client|app)[ _-]?secret|mnemonic",
        r"back[ _-]?up[ _-]?codes?",
        r"(?:seed|recovery|secret|mnemonic)[ _-]?(?:phrase|code|key|word|answer)s?|login[ _-]?data",
    )
)
_WHOLE = (
    r"secrets?|token|tokens(?!\W*[0-9][0-9.,]*(?![A-Za-z0-9]))|pwd|pswd|psw|passe|passwd|pws?|mdp|senha|clave|parool|"
    r"segreto|secreto|creds?|apikey|hemlig"
)
_WEAKLY = r"pass|login|log-in|auth|cookies?|set-cookie|keys?|zugang|anmeldung|identifiant|signature|sig|hash|salt"
_NUMBERS = (
    r"(?:pin|m?tan|t?otp|cvv2?|cvc2?|2fa|mfa)(?:[ _-]?(?:code|number|nummer))?|passcode|geheimzahl|geheimnummer|"
    r"(?:security|verification|access|one[ -]time|auth(?:entication)?|sms|login|unlock|door|alarm|safe)"
    r"[ _-]?(?:code|number|pin)|einmal(?:code|kennwort)|sicherheitscode|code pin|codigo (?:pin|de seguridad)|"
    r"пин-?код|пин"
)


def _whole(words: str, *, camel: bool = True) -> str:
    """Return the form of words that stand alone, between underscores, or as a part of camelCase."""
    ends = r"(?![a-z]|[0-9]{3})(?!(?<=[A-Z])[A-Z])" if camel else "(?![A-Za-z0-9])"
    form = rf"{_B}(?i:{words}){ends}"
    return rf"{form}|(?<=[a-z])(?=[A-Z])(?i:{words}){ends}" if camel else form


_INSIDE_FORM = re.compile(rf"(?i:{spelled(_INSIDE)})")
_WHOLE_FORM = re.compile(_whole(spelled(_WHOLE)))
_NUMBER_FORM = re.compile(_whole(spelled(_NUMBERS), camel=False))
_WEAK_FORM = re.compile(rf"(?<!boarding )(?:{_whole(_WEAKLY)})")
_LETTERS = re.compile(r"(?<![A-Za-z])[A-Za-z]{5,10}(?![A-Za-z])")
#: How near a cut or mistyped word must be to the whole one.
_NEAR = 0.82


def marked(text: str) -> str:
    """Return a reading with each secret's word as a mark."""
    made = _INSIDE_FORM.sub(f" {SURE}", text)
    made = _NUMBER_FORM.sub(f" {DIGITS}", made)
    made = _WHOLE_FORM.sub(f" {SURE}", made)
    made = _LETTERS.sub(lambda found: f" {SURE}" if _is_near(found[0].lower()) else found[0], made)
    return _WEAK_FORM.sub(f" {WEAK}", made)


@lru_cache(8192)
def _is_near(word: str) -> bool:
    """Return whether it is the word password, cut or mistyped."""
    return SequenceMatcher(None, word, "password").ratio() >= _NEAR


# Names of fields
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
#: A field beside a secret that tells something of it.
_ABOUT = re.compile(
    r"(?i)(?:^|[ _-])(?:at|on|date|expir\w*|age|days|length|policy|type|kind|url|uri|link|reset|required|changed?|"
    r"status|count|limit|max|min|strength|per|used|left|total|bound|valid|sent|tool|method|attempts|enabled|name)s?"
    r"(?:$|[ _-])"
)
#: Last words of names that hold a secret, though the word alone means other things in a text.
_LAST = ("pin", "otp", "cvv", "cvc", "cookie", "pass", "auth", "jwt")
#: The fields of a pair: of the name, and of the value.
PAIR_NAMES = frozenset(
    _listed(
        "name key header field label title parameter param variable var property attribute setting option id type kind "
        "prompt k n"
    )
) | {"question"}
PAIR_VALUES = frozenset(
    _listed(
        "value values val v content contents data default current new old answer reply response text raw input string"
    )
)


@lru_cache(4096)
def is_secret_name(name: str) -> bool:
    """Return whether a field of that name holds a secret."""
    parts = _CAMEL.sub("_", latin(name))
    squeezed = re.sub(r"[\W_0-9]+", "", parts)
    if _INSIDE_FORM.search(parts) or _INSIDE_FORM.search(squeezed) or _WHOLE_FORM.search(parts):
        return True
    words = re.sub(r"[\W_0-9]+", " ", parts).strip().lower()
    if any(map(_is_near, _LETTERS.findall(parts.lower()))) or words.split()[-1:] in [[one] for one in _LAST]:
        return True
    return any(found.end() == len(words) for found in _NUMBER_FORM.finditer(words))


def tells_about(name: str) -> bool:
    """Return whether a field of that name tells something about a secret: only a value that looks random is one."""
    return _ABOUT.search(_CAMEL.sub("_", name)) is not None


def counts_tokens(name: str) -> bool:
    """Return whether a number in a field of that name counts tokens of a model."""
    return "tokens" in name.lower()


# What stands in a value's place
_PLACEHOLDER = re.compile(
    r"(?i)[\W_]*(?:stand-in.*|sealed-?(?:value|\d+)?|\W*|x{3,}|\*+|\.{3}|null|none|nil|true|false|yes|no|ja|nein|"
    r"ok(?:ay)?|n/?a|unknown|redacted|hidden|masked|removed|secret|string|str|int(?:eger)?|optional|required|missing|"
    r"empty|(?:your|my|the|new|old|example|some)?[ _-]?(?:password|token|secret|api[ _-]?key|key|value|pin)s?"
    r"(?:[ _-]here)?|change[ _-]?me|todo|tbd)[\W_]*|\$\{?\w+\}?|\{\{.*|<[\w -]+>|%\w+%|\[[\w -]+\]|\{\w+\}"
)
#: With which a sentence goes on.
_PROSE = frozenset(
    _listed("""
    a about access account accepted after again all already also always an and another any are as at available back be
    because been before being both but by can cannot changed changing check click correct could deleted did different do
    does doesn't don't done else email enter error even every everything expired fine first follow for forgot forgotten
    found from generated get give given gmail go good had has have he help her here him his how i if ignored impossible
    in incorrect invalid is it its just known last later let logging lost made may me must my necessary needed never new
    next not nothing now of old on once one only or other our out over please policy possible protected reissue required
    reset resetting rotated safe same secure send sent set she should sign so someone something sorry still stored
    strong such than that the their them then there these they this those to too try twice two unchanged under
    unique until up updated use used user valid very via visible was way we weak well were what when where which while
    who why will with
    within without work works would wrong yet you your
    nicht falsch abgelaufen gesperrt die der das ein eine ist ungultig vergessen
    """)
)
_ADJECTIVE = re.compile(r"[a-z]+(?:ed|ing|able|ible|ly|ous|ive|ful|less|ment|tion|ance|ity)")


def stands_for_nothing(value: str) -> bool:
    """Return whether a value is a placeholder, a stand-in or a mask."""
    return _PLACEHOLDER.fullmatch(value) is not None


def is_prose(word: str) -> bool:
    """Return whether a sentence goes on with the word, so that it is no value."""
    return word.lower() in _PROSE or _ADJECTIVE.fullmatch(word) is not None
