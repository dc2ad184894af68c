"""NIH ChestX-ray14: frontal chest X-rays, many patients with several."""

from __future__ import annotations

from memtk.data.public.record import PublicFile, PublicSet

_BOX = "https://nihcc.box.com/shared/static/"

_ARCHIVES = (
    ("vfk49d74nhbxq3nqjg0900w5nvkorp5c", "fe8ed0a6961412fddcbb3603c11b3698", 2008470987),
    ("i28rlmbvmfjbl8p2n3ril0pptcmcu9d1", "ab07a2d7cbe6f65ddd97b4ed7bde10bf", 3952623504),
    ("f1t00wrtdk94satdfb9olcolqx20z2jp", "2301d03bde4c246388bad3876965d574", 3929234850),
    ("0aowwzs5lhjrceb3qp67ahp0rd1l1etg", "9f1b7f5aae01b13f4bc8e2c44a4b8ef6", 3838903983),
    ("v5e3goj22zr6h8tzualxfsqlqaygfbsn", "1861f3cd0ef7734df8104f2b0309023b", 3935496531),
    ("asi7ikud9jwnkrnkj99jnpfkjdes7l6l", "456b53a8b351afd92a35bc41444c58c8", 3986301172),
    ("jn1b4mw4n6lnh74ovmcjb8y48h8xj07n", "1075121ea20a137b87f290d6a4a5965e", 4016328426),
    ("tvpxmn7qyrgl0w8wfh9kqfjskv6nmm1j", "b61f34cec3aa69f295fbb593cbd9d443", 4018347353),
    ("upyy3ml7qdumlgk2rfcvlb9k6gvqq2pj", "442a3caa61ae9b64e61c561294d1e183", 4111327929),
    ("l6nilvfa9cg3s28tqv1qc1olm3gnz54p", "09ec81c4c31e32858ad8cf965c494b74", 4181556296),
    ("hhq8fkdgvcari67vfhs7ppg2w6ni4jze", "499aefc67207a5a97692424cf5dbeed5", 4187084020),
    ("ioqwiy20ihqwyr8pf4c24eazhh281pbu", "dc9fda1757c2de0032b63347a7d2895c", 2914187733),
)
"""Name on the NIH's Box, MD5 as its FAQ_CHESTXRAY.pdf (question 7) lists it, bytes."""

CHEST_XRAY = PublicSet(
    name="chest-xray",
    title="2D frontal chest X-rays of 1024 x 1024, NIH ChestX-ray14",
    images=112120,
    patients=30805,
    licence="NIH Clinical Center, no restrictions; name the link and cite",
    citation=(
        "Wang et al., ChestX-ray8: hospital-scale chest X-ray database and benchmarks, CVPR 2017; "
        "data from https://nihcc.app.box.com/v/ChestXray-NIHCC, NIH Clinical Center",
    ),
    homepage="https://nihcc.app.box.com/v/ChestXray-NIHCC",
    files=tuple(
        PublicFile(f"images_{n:03d}.tar.gz", f"{_BOX}{name}.gz", f"md5:{md5}", size)
        for n, (name, md5, size) in enumerate(_ARCHIVES, 1)
    ),
    top="images",
    notes=(
        "A patient's number is in every file name. Some pictures are there twice "
        "(00002658_001 and 00002658_002): within one patient.",
    ),
)
