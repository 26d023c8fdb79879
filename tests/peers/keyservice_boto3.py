"""boto3, the aws command line and openssl against a running key service.

botocore validates every answer against AWS's own service model, so that a wrong shape is an error here.

    AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… python keyservice_boto3.py ENDPOINT REGION [DOCUMENT KEY]

The access key is the account root user's. DOCUMENT is an attestation document whose public key's private half is KEY (PEM); with them
the answers of Decrypt, GenerateDataKey and GenerateRandom are opened with `openssl cms`.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return
    raise AssertionError(f"{call.__name__} was not refused with {code}")


def open_envelope(envelope, key):
    with tempfile.NamedTemporaryFile() as answer:
        answer.write(envelope)
        answer.flush()
        command = ["openssl", "cms", "-decrypt", "-inform", "DER", "-binary", "-in", answer.name, "-inkey", key]
        return subprocess.run(command, check=True, capture_output=True).stdout


def main(endpoint, region, document=None, key_file=None):
    config = Config(retries={"max_attempts": 1}, parameter_validation=True)
    kms = boto3.client("kms", endpoint_url=endpoint, region_name=region, config=config)

    made = kms.create_key(Description="peer")["KeyMetadata"]
    arn, key_id = made["Arn"], made["KeyId"]
    assert made["KeyState"] == "Enabled" and made["KeySpec"] == "SYMMETRIC_DEFAULT", made
    assert kms.describe_key(KeyId=key_id)["KeyMetadata"] == made
    listed = [key for page in kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 1}) for key in page["Keys"]]
    assert {"KeyId": key_id, "KeyArn": arn} in listed, listed

    policy = kms.get_key_policy(KeyId=key_id, PolicyName="default")["Policy"]
    statements = json.loads(policy)["Statement"]
    assert statements[0]["Action"] == "kms:*", policy
    kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=policy)
    refused("MalformedPolicyDocumentException", kms.put_key_policy, KeyId=key_id, PolicyName="default", Policy="{")
    assert kms.list_key_policies(KeyId=key_id)["PolicyNames"] == ["default"]

    context = {"entente-dataset": "bids"}
    sealed = kms.encrypt(KeyId=arn, Plaintext=b"\x5a" * 32, EncryptionContext=context)
    assert sealed["KeyId"] == arn and sealed["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    blob = sealed["CiphertextBlob"]
    opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)
    assert opened["Plaintext"] == b"\x5a" * 32 and opened["KeyId"] == arn
    refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=blob)
    refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=b"x" * 100, KeyId=arn)
    refused("NotFoundException", kms.encrypt, KeyId="00000000-0000-4000-8000-000000000000", Plaintext=b"x")
    refused("NotFoundException", kms.describe_key, KeyId="alias/none")
    refused("DryRunOperationException", kms.encrypt, KeyId=arn, Plaintext=b"x", DryRun=True)

    data_key = kms.generate_data_key(KeyId=arn, KeySpec="AES_256", EncryptionContext=context)
    assert kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"], EncryptionContext=context)["Plaintext"] == data_key["Plaintext"]
    hidden = kms.generate_data_key_without_plaintext(KeyId=arn, NumberOfBytes=48)
    assert len(kms.decrypt(CiphertextBlob=hidden["CiphertextBlob"])["Plaintext"]) == 48
    assert len(kms.generate_random(NumberOfBytes=32)["Plaintext"]) == 32

    if document:
        with open(document, "rb") as file:
            recipient = {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": file.read()}
        answer = kms.decrypt(CiphertextBlob=blob, EncryptionContext=context, Recipient=recipient)
        assert not answer.get("Plaintext"), answer
        assert open_envelope(answer["CiphertextForRecipient"], key_file) == b"\x5a" * 32
        answer = kms.generate_data_key(KeyId=arn, KeySpec="AES_128", Recipient=recipient)
        assert not answer.get("Plaintext"), answer
        inside = open_envelope(answer["CiphertextForRecipient"], key_file)
        assert kms.decrypt(CiphertextBlob=answer["CiphertextBlob"])["Plaintext"] == inside
        answer = kms.generate_random(NumberOfBytes=1024, Recipient=recipient)
        assert len(open_envelope(answer["CiphertextForRecipient"], key_file)) == 1024
        recipient["AttestationDocument"] = b"x"
        refused("ValidationException", kms.decrypt, CiphertextBlob=blob, EncryptionContext=context, Recipient=recipient)

    kms.disable_key(KeyId=key_id)
    refused("DisabledException", kms.decrypt, CiphertextBlob=blob, EncryptionContext=context)
    kms.enable_key(KeyId=key_id)
    scheduled = kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    assert scheduled["KeyState"] == "PendingDeletion", scheduled
    refused("KMSInvalidStateException", kms.decrypt, CiphertextBlob=blob, EncryptionContext=context)
    kms.cancel_key_deletion(KeyId=key_id)

    wrong = boto3.client(
        "kms", endpoint_url=endpoint, region_name=region, config=config,
        aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"], aws_secret_access_key="wrong",
    )
    refused("InvalidSignatureException", wrong.list_keys)
    unknown = boto3.client(
        "kms", endpoint_url=endpoint, region_name=region, config=config,
        aws_access_key_id="AKIAUNKNOWN", aws_secret_access_key="wrong",
    )
    refused("UnrecognizedClientException", unknown.list_keys)

    beside = os.path.join(os.path.dirname(sys.executable), "aws")
    aws = beside if os.path.exists(beside) else shutil.which("aws")
    if aws:
        command = [aws, "--endpoint-url", endpoint, "--region", region, "--output", "json", "kms", "describe-key", "--key-id", arn]
        shown = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        assert shown["KeyMetadata"]["KeyState"] == "Disabled", shown
    print("boto3", boto3.__version__, "with aws" if aws else "without aws", "with Recipient" if document else "without Recipient")


if __name__ == "__main__":
    main(*sys.argv[1:])
