"""Certificates for tests, made by the openssl command."""
import subprocess

KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"


def run(folder, command):
    subprocess.run(command, shell=True, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def authority(folder, name):
    run(folder, f"openssl req -x509 {KEY} -keyout {name}.key -out {name}.pem -days 2 -subj /CN={name} "
                "-addext keyUsage=critical,keyCertSign,cRLSign")
    configure(folder, name)


def configure(folder, name):
    (folder / f"{name}.db").write_text("")
    (folder / f"{name}.cnf").write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={name}.db\ndefault_md=sha256\n"
                                        "default_crl_days=2\n")


def intermediate(folder, name, ca="ca"):
    """An authority below another."""
    (folder / f"{name}.ext").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n")
    run(folder, f"openssl req {KEY} -keyout {name}.key -out {name}.csr -subj /CN={name} && "
                f"openssl x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -extfile {name}.ext "
                f"-days 2 -out {name}.pem")
    configure(folder, name)


def leaf(folder, name, names, ca="ca", days=2, rsa=False, usage=None):
    """name.pem and name.key for subjectAltName `names`."""
    key = "-newkey rsa:2048 -nodes" if rsa else KEY
    extensions = f"subjectAltName={names}\n" + (f"extendedKeyUsage={usage}\n" if usage else "")
    (folder / f"{name}.ext").write_text(extensions)
    run(folder, f"openssl req {key} -keyout {name}.key -out {name}.csr -subj /CN={name} && "
                f"openssl x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -extfile {name}.ext "
                f"-days {days} -out {name}.pem")


def revoke(folder, name, ca="ca"):
    """Adds to the list of the authority, ca.crl, which exists afterwards; None revokes nothing."""
    if name:
        run(folder, f"openssl ca -config {ca}.cnf -revoke {name}.pem -keyfile {ca}.key -cert {ca}.pem")
    run(folder, f"openssl ca -config {ca}.cnf -gencrl -keyfile {ca}.key -cert {ca}.pem -out {ca}.crl")


def staple(folder, name, ca="ca"):
    """name.ocsp: a response that says good."""
    run(folder, f"openssl ca -config {ca}.cnf -valid {name}.pem -keyfile {ca}.key -cert {ca}.pem && "
                f"openssl ocsp -issuer {ca}.pem -cert {name}.pem -no_nonce -reqout {name}.req && "
                f"openssl ocsp -index {ca}.db -rsigner {ca}.pem -rkey {ca}.key -CA {ca}.pem -reqin {name}.req "
                f"-ndays 1 -respout {name}.ocsp")
