# SPDX-License-Identifier: GPL-2.0-or-later
"""The services' error codes with the HTTP status that they come with. Misspelt names are the services' own."""


class ApiError(Exception):
    def __init__(self, code, message=None, status=None, headers=None):
        super().__init__(code)
        self.code = code
        self.status = status or STATUS.get(code) or guess(code)
        self.message = message or SAY.get(code) or f"The request was refused with {code}."
        self.headers = headers or {}


def guess(code):
    if code.endswith(".NotFound"):
        return 404
    if "Throttling" in code:
        return 400
    return 403 if code.startswith(("Incorrect", "Forbidden", "QuotaExceed.", "OperationDenied")) else 400


def table(text):
    return {code: int(line.split()[0]) for line in text.strip().splitlines() for code in line.split()[1:]}


STATUS = table("""
    400 Throttling Throttling.User Throttling.Api MissingParameter InvalidParameter IncompleteSignature
    400 SystemBusy OperationConflict IllegalTimestamp InvalidTimeStamp.Expired InvalidTimeStamp.Format SignatureNonceUsed
    400 IncorrectVSwitchStatus IncorrectVpcStatus IncorrectStatus OperationFailed.DistibuteLock IncorrectRouteEntryStatus
    400 OperationFailed.IdempotentTokenProcessing QuotaExceeded.Vpc InvalidImageName.Duplicated SignatureDoesNotMatch
    400 InvalidSecurityToken.Expired InvalidSecurityToken.Malformed InvalidSecurityToken.MismatchWithAccessKey
    400 IdempotentParameterMismatch InvalidIdempotenceParameter.Mismatch IdempotenceParamNotMatch InvalidParamter.Conflict
    400 Forbbiden InsufficientBalance InvalidPayMethod NoPermission CallInterface InvalidPlatform.Malformed
    400 InvalidAccessKeyId.Inactive InvalidAction InvalidVersion InvalidImageName.Malformed DryRunOperation
    403 Throttling.ConcurrentLimitExceeded Throttling.DeepPageSkip ConcurrentQuotaExceed.ExportImage
    403 WeeklyQuotaExceed.ExportImage OperationDenied.NoStock UserNotInTheWhiteList NoSetRoletoECSServiceAcount
    403 InvalidSnapshotId.NotReady SnapshotCreatedImage SnapshotCreatedDisk ImageIsExporting ImageIsImporting
    403 InvalidAccountStatus.NotEnoughBalance InvalidAccountStatus.SnapshotServiceUnavailable RealNameAuthenticationError
    403 IncorrectInstanceStatus IncorrectInstanceStatus.Initializing IncorrectDiskStatus DependencyViolation
    403 IncorrectDiskStatus.NeverUsed IncorrectDiskStatus.NeverAttached IncorrectDiskStatus.Initializing
    403 IncorrectDiskStatus.CreatingSnapshot IncorrectDiskStatus.Transferring IncorrectVolumeStatus TaskConflict
    403 DisksDetachingOnEcsExceeded InvalidImage.DiskAmountOrSize ImageNotSupported ImageUsingByInstance
    403 QuotaExceed.SecurityGroup QuotaExceed.Image QuotaExceed.Snapshot QuotaExceed.AfterpayInstance Zone.NotOnSale
    403 Zone.NotOpen ResourceNotAvailable InvalidInstanceType.ZoneNotSupported InvalidInstanceType.NotSupported
    403 Forbidden.RAM Forbidden.Unauthorized Forbidden.SubUser Forbidden Forbidden.RiskControl Forbidden.AccessKeyDisabled
    403 InvalidUser.PassRoleForbidden Forbidden.NotSupportRAM ExportImageFailed CategoryNotSupported Account.Arrearage
    403 IdempotentProcessing LastTokenProcessing OperationFailed.LastTokenProcessing TOKEN_PROCESSING
    404 InvalidOSSBucket.NotFound InvalidAccessKeyId.NotFound OperationDenied.CreatingConflict
    403 InvalidOSSBucket.NotMatched InvalidDisk.AlreadyDetached InvalidTaskId.IncorrectTaskStatus CancelTaskFailed
    409 Operation.Conflict InvalidOperation.Conflict
    500 InternalError UnknownError
    503 ServiceUnavailable ServiceUnavailable.RegionMaintaining Rejected.Throttling

    403 AccessDenied InvalidAccessKeyId RequestTimeTooSkewed
    404 NoSuchBucket NoSuchKey NoSuchUpload
    400 InvalidArgument InvalidPart InvalidPartOrder EntityTooSmall MalformedXML InvalidDigest BadRequest
    409 FileImmutable BucketAlreadyExists
    411 MissingContentLength
    416 InvalidRange
    503 SlowDown
""".replace("\n\n", "\n"))

SAY = {
    "Throttling.User": "Request was denied due to user flow control.",
    "Throttling": "Request was denied due to request throttling.",
    "ServiceUnavailable": "The request has failed due to a temporary failure of the server.",
    "InternalError": "The request processing has failed due to some unknown error, exception or failure.",
    "SignatureNonceUsed": "Specified signature nonce was used already.",
    "IllegalTimestamp": "The input parameter \"Timestamp\" that is mandatory for processing this request is not supplied "
                        "or differs from the server's time by more than 15 minutes.",
    "OperationDenied.NoStock": "The requested resource is sold out in the specified zone; try other types of resources or "
                               "other regions and zones.",
    "UserNotInTheWhiteList": "The user is not in the white list of this operation.",
    "NoSetRoletoECSServiceAcount": "ECS service account Have No right to access your OSS.please attach RAM Role to ECS service "
                                   "account.",
    "DryRunOperation": "Request validation has been passed with DryRun flag set.",
    "InvalidSnapshotId.NotReady": "The specified snapshot has not completed yet.",
    "IncorrectDiskStatus.NeverUsed": "The specified disk has never been used; it has no data.",
    "QuotaExceeded.Vpc": "VPC quota exceeded.",
    "RequestTimeTooSkewed": "The difference between the request time and the current time is too large.",
    "NoSuchKey": "The specified key does not exist.",
    "NoSuchBucket": "The specified bucket does not exist.",
    "AccessDenied": "You have no right to access this object.",
}
