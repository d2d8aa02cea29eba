"""The scan of ``ballast capture`` for secrets: spellings that it finds, and honest texts that it lets pass."""

import json
import random
import string
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ballast.errors import InvalidInput
from ballast.secret_scan import secrets_in
from bench.transcripts import TAU_BENCH
from cli.commands.feedback import feedback
from tests.support.sampling import FULL

ROOT = Path(__file__).parents[3]
#: An outside review's spellings; the others are of the same kinds.
SECRETS: list[Any] = [
    "Authorization: Basic dXNlcjpwYXNz",
    "Authorization: Basic YWRtaW46aHVudGVyMg==",
    "The password for her account is Zx9!kk2PqL",
    "password of A-1002: Zx9!kk2PqL",
    "password (temporary): Zx9!kk2PqL",
    "her new password should be Zx9!kk2PqL",
    "pw: Zx9!kk2PqL",
    "PIN 4711",
    "mot de passe: Soleil2024!",
    "Kennwort: Sommer24!",
    "contraseña: Sol2024!x",
    "password: hunter",
    "Password: Summer",
    "password='correct horse battery staple'",
    {"passwords": ["Zx9!kk2PqL"]},
    {"password": {"value": "Zx9!kk2PqL"}},
    {"password": ["Zx9!kk2PqL"]},
    {"secret_key": "Zx9!kk2PqL"},
    {"passwordConfirm": "Zx9!kk2PqL"},
    {"password1": "Zx9!kk2PqL"},
    {"temp_password_value": "Zx9!kk2PqL"},
    {"headers": [{"name": "Authorization", "value": "Zx9kk2PqLAAbbccdd11"}]},
    {"key": "X-Api-Key", "value": "Zx9kk2PqL12312"},
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY",
    "AccountKey=Zx9kk2PqLAAbbccdd11==;EndpointSuffix=core.windows.net",
    "xapp-1-A0-123-abcdefabcdef",
    "hf_abcdefghijklmnopqrstuvwxyzABCDEF",
    "dop_v1_abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789",
    "A K I A I O S F O D N N 7 E X A M P L E",
    "akiaiosfodnn7example",
    "рassword: Zx9!kk2PqL",
    "p a s s w o r d: Zx9!kk2PqL",
    "password%3DZx9!kk2PqL",
    "?token=abcdef123456&x",
    "passwordZx9!kk2PqL",
    "pass: Zx9!kk2PqL",
    "login: admin / Zx9!kk2PqL",
    "Her password\u200b is: Zx9!kk2PqL",
    "pass\xadword: Zx9!kk2PqL",
    "ssword -> Zx9!kk2PqL",
    'password: "Zx9!kk2PqL"',
    "password → Zx9!kk2PqL",
    "password – Zx9!kk2PqL",
    "password = = Zx9!kk2PqL",
    "**password** Zx9!kk2PqL",
    "password:`Zx9!kk2PqL`",
    "<password>Zx9!kk2PqL</password>",
    "passwd|Zx9!kk2PqL",
    "eyJhbGciOi J9.eyJzdWIi",
    "The token you need, as agreed with the customer on the phone yesterday evening, is Zx9!kk2PqL",
    "Zx9!kk2PqL is the password",
    "use Zx9!kk2PqL as your new password",
    "set it to Zx9!kk2PqL (password)",
    "password is hunter2",
    "my password is swordfish.",
    "Password: 12345",
    "password 123456",
    "Passwort: geheim",
    "my password: letmein",
    "пароль: Zx9!kk2PqL",
    "пароль Zx9!kk2PqL",
    "密码是Zx9!kk2PqL",
    "密码：hunter",
    "パスワードはZx9!kk2PqLです",
    "비밀번호: abc12345",
    "كلمة المرور: hunter2",
    "hasło: Kasia123",
    "parola: mare2020",
    "şifre: deneme1",
    "wachtwoord: zomer",
    "lösenord: sommar1",
    "mật khẩu: abc123",
    "senha: abacaxi",
    "mdp : soleil",
    "clave: gatito1",
    "clave secreta: gatito",
    "salasana: kesä2024",
    "heslo: lato2020",
    "κωδικός: abc123x",
    "PIN: 4711",
    "pin is 0815",
    "Her PIN code was 992817",
    "4711 is my PIN",
    "OTP 493021",
    "the verification code: 493021",
    "CVV 123",
    "cvc: 123",
    "TAN 123456",
    "security code 817",
    {"pin": 4711},
    {"cvv": "123"},
    {"userPassword": "a"},
    {"DB_PASSWORD": "x1"},
    {"x-api-key": ["a", "b"]},
    {"auth": {"token": {"raw": {"v": "abc"}}}},
    {"Cookie": "a=b"},
    {"refreshToken": "abc"},
    {"passphrase_2": "a b c"},
    {"contraseña": "x"},
    {"пароль": "x"},
    {"credentials": {"user": "kim", "x": "y"}},
    {"secrets": {"a": "b"}},
    {"tokens": ["abc"]},
    {"bearer_token": "xx"},
    {"private-key": "x"},
    {"AccessKeyId": "foo"},
    {"mot_de_passe": "ete"},
    {"pwd_hash_value": "Zx9kk2PqL12"},
    {"p\u200bassword": "x"},
    {"раssword": "x"},
    {"headers": [["Authorization", "abc"]]},
    {"field": "password", "value": "swordfish"},
    {"label": "API key", "content": "abcd"},
    {"question": "What is your password?", "answer": "swordfish"},
    {"headers": {"X-Auth-Token": "abc"}},
    {"name": "Set-Cookie", "value": "sid=1"},
    "Proxy-Authorization: Basic a2ltOmh1bnRlcg==",
    "curl -u kim:hunter2 https://x.example",
    "curl -H 'X-Api-Key: abcd1234'",
    "mysql -pHunter2! -u root",
    "postgres://kim:pw12@db/x",
    "Server=x;User Id=sa;Password=abc;",
    "DB_PASSWORD=hunter",
    "export TOKEN=abcdefgh",
    "clientSecret=abcdefgh",
    '{"password": "swordfish"}',
    '{"a": {"apiKey": "x1"}}',
    "{'password': 'swordfish'}",
    "password: |\n  swordfish9",
    "password:\n\nZx9!kk2PqL",
    "pass<b>word</b>: Zx9!kk2PqL",
    "pass**word**: Zx9!kk2PqL",
    "pass_word: swordfish",
    "p.a.s.s.w.o.r.d: swordfish",
    "P-A-S-S-W-O-R-D = swordfish",
    "p@ssw0rd: swordfish",
    "ｐａｓｓｗｏｒｄ：swordfish",
    "password&#58; swordfish",
    "password%253Dswordfish",
    "pass\\u0077ord: swordfish",
    "ᴘᴀssᴡᴏʀᴅ: swordfish",
    "ṕassword: swordfish",
    "𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝: swordfish",
    "cGFzc3dvcmQ6IGh1bnRlcjI=",
    "paswsord: swordfish",
    "passwrd: swordfish",
    "passwort swordfish9",
    'her password "swordfish"',
    "the password is 'swordfish'",
    "Password -> swordfish",
    "Password => swordfish",
    "password|swordfish",
    "password ➡ swordfish",
    "Z x 9 ! k k 2 P q L is the password",
    "password: Z x 9 ! k k 2 P q L",
    "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
    "sk-ant-api03-abcdefghijklmnop",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "rk_test_4eC39HqLyjWDarjtT1",
    "glpat-xxxxxyyyyyzzzzz12345",
    "shpat_0123456789abcdef0123456789abcdef",
    "ya29.a0AfH6SMBx",
    "ghs_16C7e42F292c6912E7710c838347Ae178B4a",
    "AQICAHhwm0YaISJeRtJm5n1G6uqeekXuoXXPe5UFce9Rq8/14wEXAMPLEdummy",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nabc",
    "—–—–-BEGIN RSA PRIVATE KEY",
    "AGE-SECRET-KEY-1QQQQQQQQQQQQ",
    "seed phrase: abandon ability able about",
    "recovery code: ABCD-EFGH",
    "recovery codes ab12-cd34 ef56-gh78",
    "1234567890:AAF1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q",
    "kim / Zx9!kk2PqL",
    "user kim pass Zx9!kk2PqL",
    "username: kim password: kim",
    "login kim, pw kim2024x",
    "key=9f8a7b6c5d4e3f2a1bQ",
    "the key Zx9kk2PqLAAbbccdd11",
    "secret: abc",
    "the secret is abc123",
    "Secret (do not share) Zx9kk2PqL",
    "session id 9f8a7b6c5d4e3f2a1b",
    "cookie: sid=9f8a7bQ6c5d4e",
    "JSESSIONID=9f8a7b6c5d4e3f2a1b",
    "sessionid=abc",
    "token abcdef0123456789abcdef0123456789",
    "token=0123456789abcdef0123456789abcdef",
    "Bearer abcdefghijklmnop1",
    "API key\nabcd1234efgh",
    "password is: hunter",
    "password has been set to Kitty-2024",
    "changed her password to Kitten.",
    "password Summer2024",
    "passwords: hunter, swordfish",
    "password1: hunter",
    "PASSWORD: HUNTER",
    "My Pass Word is Zx9!kk2PqL",
    "accountkey Zx9kk2PqLAAbbccdd11==",
    "SharedAccessKey=abcdEFGH1234=",
    "x-amz-security-token: FwoGZXIvYXdzE",
    "aws_session_token=FwoGZXIvYXdzEBc",
    "2fa code 112233",
    "reservation code EHGLP3 and password EHGLP3",
    "PIN4711",
    "pin code: 4 7 1 1",
    "four digit pin: 47 11",
]
SECRETS += [
    "My PIN? It is 4711.",
    "Your code is 123456 (one-time code)",
    "The password, as you know, was letmein.",
    "Pa ss wo rd: letmein1",
    "authorization=Bearer abc.def.ghi",
    "Set-Cookie: sid=xyz; Path=/",
    {"api": {"key": "abc"}},
    {"otp_code": "1"},
    {"auth": "abc"},
]
HONEST: list[Any] = [
    "Noted as note-3f2b8c1e-9a4d-4c7e-8b21-5d6e7f809a1b.",
    {"note_id": "note-3f2b8c1e9a4d4c7e8b215d6e7f809a1b"},
    '- turn 2: {"tracking_code":"PW10010015550"}, tau2\'s task lock_sim_card_pin|overdue_bill[PERSONA:Easy]',
    "My flight confirmation number is JMO1MG.",
    "Please reset the password of A-1002.",
    "The token is invalid. Where is my order O-1001?",
    "I cannot log in any more. Please reset the password of A-1001.",
    "A link to set a new password was sent to the owner of A-1001.",
    "The password policy requires 12 characters.",
    "Your password has been reset on 2026-11-29 at 10:00.",
    "Reset your password at https://example.com/reset/account",
    "My login is kim@example.com and I forgot my password.",
    "Her boarding pass: EHGLP3, seat 12A",
    "PIN pad broken at terminal 4",
    "Please pin order 1001 to the top",
    "The API key of the tenant has expired; order #W4316152 and user mia_li_3668.",
    "tokens: 4000 in, 1200 out",
    "It cost 1,200 tokens and $0.0034.",
    "key points: the order O-1002 was shipped",
    "The code is 3RK2T9",
    "gift_card_7815826 and credit_card_4421486",
    "flight HAT136 on 2024-05-15",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha256 of the password file: see the log",
    "01J9ZQ3V8XH6K2T4M5N7P0R1S2",
    "123e4567-e89b-12d3-a456-426614174000",
    "run-hgjvcdmbjd4ejcljorqjsfzy",
    "I forgot my password. My reservation is EHGLP3.",
    {
        "tokens_per_run": 4000,
        "input_tokens": 12,
        "secretary": "Kim",
        "password_changed_at": "2024-05-15",
        "has_password": True,
        "password": None,
        "token_count": 3,
    },
    {"password": "stand-in-1"},
    {"password": "*****"},
    {"name": "reset_password", "arguments": {"account_id": "A-1002"}},
    "idp_resetPassword",
    "resetPasswordForUser",
    {"tool": "resetPassword", "arguments": {"accountId": "A-1"}},
    "My address is 12 Harbour Street, Portland, 04101",
    "+1 555 0100",
    "DE36 9000 0000 0000 0001 00",
    "Please change the pin number format",
    "my secret santa gift is order O-1001",
    "The password is wrong.",
    "Password: *****",
    "password: stand-in-1",
    "password: [hidden]",
    "token=<TOKEN>",
    "export TOKEN=$TOKEN",
    "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
    "arn:aws:states:eu-west-1:123456789012:execution:x:run-1",
    "https://sqs.eu-west-1.amazonaws.com/123456789012/ballast-reply-default--faults",
    "The passenger's passport number",
    "https://example.com/orders/O-1001?page=2&sort=createdAt",
    "SGVsbG8gd29ybGQsIHRoaXM=",
    "Use Python 3.13 and utf-8; IPv4 10.0.0.1; SHA256",
    "The keys of my house",
    "Where is the login page?",
    "Key: A-1002",
    "cookies and cream, 2 boxes",
    "I ordered an authorization form",
    "Payment authorization for $120.50 was declined.",
]


def scenarios() -> Iterator[Any]:
    """Yield the values of every scenario and script of the repository."""
    for folder in ("localcloud/scenarios", "examples", "scaffold", "tests/e2e/liars", "docs"):
        for file in sorted((ROOT / folder).rglob("*.yaml")):
            if file.name in ("scenario.yaml", "script.yaml"):
                yield yaml.safe_load(file.read_text(encoding="utf-8"))


def transcripts(every: int) -> Iterator[Any]:
    """Yield the messages of each ``every``-th recorded run; arguments as they are called."""
    with TAU_BENCH.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if number % every == 0:
                yield json.loads(line)["messages"]


@pytest.mark.parametrize("value", SECRETS, ids=ascii)
def test_a_secret_is_found_in_any_spelling(value: Any) -> None:
    assert list(secrets_in({"text": value} if isinstance(value, str) else value))


@pytest.mark.parametrize("value", HONEST, ids=ascii)
def test_an_honest_text_is_let_pass(value: Any) -> None:
    assert list(secrets_in({"text": value} if isinstance(value, str) else value)) == []


def test_every_scenario_of_the_repository_is_let_pass() -> None:
    found = list(scenarios())

    assert len(found) >= 30
    assert [place for one in found for place in secrets_in(one)] == []


@pytest.mark.skipif(not TAU_BENCH.is_file(), reason=f"no recorded runs: {TAU_BENCH} is not there")
def test_recorded_runs_are_let_pass() -> None:
    found = list(transcripts(1 if FULL else 20))

    assert len(found) >= 10
    assert [place for one in found for place in secrets_in(one)] == []


# A random secret in a random place

_LETTERS = string.ascii_letters + string.digits


def random_word(dice: random.Random, length: int) -> str:
    """Return a password as a generator makes it."""
    signs = "!#$%&*+?@"
    made = [dice.choice(kind) for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits, signs)]
    made += [dice.choice(_LETTERS + signs) for _ in range(length - len(made) - 2)]
    dice.shuffle(made)
    # A sign at an end is taken for the text's.
    return "".join([dice.choice(_LETTERS), *made, dice.choice(_LETTERS)])


def letters(dice: random.Random, length: int, of: str = _LETTERS) -> str:
    return "".join(dice.choice(of) for _ in range(length))


#: By name: how a secret of that form is made, with what people write around it.
FORMS = {
    "said": lambda dice: f"the password is {random_word(dice, 10)}",
    "before": lambda dice: f"use {random_word(dice, 10)} as the password",
    "far": lambda dice: f"the password that we gave to her for the account last week was {random_word(dice, 10)}",
    "weak": lambda dice: f"password: {letters(dice, 6, string.ascii_lowercase[:8])}x",
    "joined": lambda dice: f"password{random_word(dice, 12)}",
    "other language": lambda dice: (
        f"{dice.choice(['Kennwort', 'пароль', 'contraseña', '密码'])}: {random_word(dice, 9)}"
    ),
    "PIN": lambda dice: f"her PIN is {letters(dice, 4, string.digits)}",
    "AWS": lambda dice: f"AKIA{letters(dice, 16, string.ascii_uppercase + string.digits)}",
    "GitHub": lambda dice: f"ghp_{letters(dice, 36)}",
    "bare": lambda dice: letters(dice, 40),
    "URL": lambda dice: f"https://kim:{letters(dice, 8)}@example.com/x",
    "basic": lambda dice: f"Authorization: Basic {letters(dice, 24)}",
    "spaced": lambda dice: f"p a s s w o r d: {random_word(dice, 10)}",
    "encoded": lambda dice: f"password%3D{letters(dice, 10)}1",
    "key": lambda dice: f"api_key={letters(dice, 20, string.hexdigits.lower())}",
}
TEXTS = sorted(
    {
        text
        for one in scenarios()
        for text in [(one.get("request") or {}).get("text"), *(turn.get("say") for turn in one.get("turns", ()))]
        if text and " " in text
    }
)


@pytest.mark.parametrize("form", FORMS)
@given(st.integers(0, 2**32), st.data())
def test_a_random_secret_is_found_at_any_place_of_an_honest_text(form: str, seed: int, data: Any) -> None:
    dice = random.Random(seed)
    words = data.draw(st.sampled_from(TEXTS)).split()
    at = data.draw(st.integers(0, len(words)))

    text = " ".join([*words[:at], FORMS[form](dice), *words[at:]])

    assert list(secrets_in({"request": {"text": text}})), text


def test_what_a_field_is_named_for_is_found_at_any_depth_and_said_with_its_place() -> None:
    found = secrets_in({"context": {"passwords": [{"a": {"b": ["swordfish"]}}], "name": "Kim"}})

    assert list(found) == [("context.passwords.0.a.b.0", "the value of a field passwords")]


def test_a_note_of_feedback_with_a_secret_is_refused_before_any_run_is_read() -> None:
    typed = Namespace(run="run-x", verdict="wrong", note="Her password: hunter", by="kim")

    with pytest.raises(InvalidInput, match="--note: looks as if it held a secret"):
        feedback(typed)


@pytest.mark.parametrize("before", [0, 3_590, 3_990, 8_000, 60_000])
def test_a_secret_is_found_anywhere_in_a_long_text(before: int) -> None:
    assert list(secrets_in("x" * before + " the password for her account is Zx9!kk2PqL " + "y" * 5_000))
    assert list(secrets_in("x" * before + " so, " + "y" * 5_000)) == []
