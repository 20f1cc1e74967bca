from opencode_cloud.ops.passphrase import encrypt_block, opens

# Made by `pulumi stack init` (3.232.0) with this passphrase.
SALT = "v1:Z5oyvA9Lzw8=:v1:huDKSvjfECw5ttyb:u2PwzgRYUGiuB0CTPayi2NXnd56euw=="


def test_a_block_is_encrypted_as_the_standard_says():
    # FIPS 197, appendix C.3.
    found = encrypt_block(bytes(range(32)), bytes.fromhex("00112233445566778899aabbccddeeff"))
    assert found.hex() == "8ea2b7ca516745bfeafc49904b496089"


def test_a_passphrase_is_told_by_the_salt_of_pulumis_own():
    assert opens("for this run alone", SALT) is True
    assert opens("for this run alone ", SALT) is False


def test_what_is_no_salt_of_this_kind_tells_nothing():
    for text in ("", "v1:x", "v2:a:v1:b:c", "v1:!:v1:!:!", "v1:AAAA:v1:AAAA:AAAA"):
        assert opens("any", text) is None
