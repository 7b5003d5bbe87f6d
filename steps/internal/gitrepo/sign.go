package gitrepo

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"encoding/pem"
	"os"

	"github.com/ProtonMail/go-crypto/openpgp"
	"golang.org/x/crypto/ssh"

	"slipway/steps/internal/failure"
)

// Signer signs the text of a commit and returns what Git keeps in its gpgsig header.
type Signer interface {
	Sign(payload []byte) (string, error)
}

// NewSigner reads a private key from a file: an armored OpenPGP key or an SSH key in OpenSSH or PEM form. passphrase may
// be empty. A key that cannot be used is failure.Usage, a wrong passphrase failure.Denied.
func NewSigner(file, passphrase string) (Signer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, failure.New(failure.Usage, "give the path of a private key", "signing key: %w", err)
	}
	if !bytes.Contains(data, []byte("BEGIN PGP PRIVATE KEY BLOCK")) {
		key, err := readKey("signing key", "SLIPWAY_SIGNING_KEY_PASSPHRASE", file, passphrase)
		if err != nil {
			return nil, err
		}
		return sshSigner{key}, nil
	}
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(data))
	if err != nil || len(keys) == 0 {
		return nil, failure.New(failure.Usage, "export it with gpg --armor --export-secret-keys", "signing key %s: no OpenPGP key can be read: %w", file, err)
	}
	if keys[0].PrivateKey == nil {
		return nil, failure.New(failure.Usage, "export it with gpg --armor --export-secret-keys", "signing key %s: it holds no private key", file)
	}
	if keys[0].PrivateKey.Encrypted {
		if err := keys[0].DecryptPrivateKeys([]byte(passphrase)); err != nil {
			return nil, failure.New(failure.Denied, "set SLIPWAY_SIGNING_KEY_PASSPHRASE", "signing key %s: it is protected by a passphrase: %w", file, err)
		}
	}
	return pgpSigner{keys[0]}, nil
}

type pgpSigner struct{ key *openpgp.Entity }

func (s pgpSigner) Sign(payload []byte) (string, error) {
	var b bytes.Buffer
	err := openpgp.ArmoredDetachSign(&b, s.key, bytes.NewReader(payload), nil)
	return b.String(), err
}

// sshSigner makes signatures as OpenSSH's PROTOCOL.sshsig describes them, in the namespace that Git uses.
type sshSigner struct{ key ssh.Signer }

const sshsigMagic = "SSHSIG"

func (s sshSigner) Sign(payload []byte) (string, error) {
	const namespace, hash = "git", "sha512"
	sum := sha512.Sum512(payload)
	message := append([]byte(sshsigMagic), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Sum                       []byte
	}{namespace, "", hash, sum[:]})...)
	signature, err := s.sign(message)
	if err != nil {
		return "", err
	}
	blob := append([]byte(sshsigMagic), ssh.Marshal(struct {
		Version                   uint32
		PublicKey                 []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}{1, s.key.PublicKey().Marshal(), namespace, "", hash, ssh.Marshal(signature)})...)
	return string(pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: blob})), nil
}

// sign avoids SHA-1, which RSA keys sign with unless told otherwise and which sshsig forbids.
func (s sshSigner) sign(message []byte) (*ssh.Signature, error) {
	if a, ok := s.key.(ssh.AlgorithmSigner); ok && s.key.PublicKey().Type() == ssh.KeyAlgoRSA {
		return a.SignWithAlgorithm(rand.Reader, message, ssh.KeyAlgoRSASHA512)
	}
	return s.key.Sign(rand.Reader, message)
}
